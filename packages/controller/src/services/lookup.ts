import type { DescMessage, MessageShape } from "@bufbuild/protobuf";
import type { Store } from "@kedge/bus";
import { type ErrorReason, KedgeError, nearNames } from "@kedge/domain";

/** How a missing document is reported. */
export interface LookupOptions {
  readonly reason: ErrorReason;
  /** What the thing is called, e.g. "node". */
  readonly noun: string;
  readonly field: string;
}

/** A document and its KV revision, or an error that names what comes near. */
export function lookUp<D extends DescMessage>(
  store: Store<D>,
  key: string,
  options: LookupOptions,
): { readonly value: MessageShape<D>; readonly revision: number } {
  const found = store.get(key);
  if (found !== undefined) return found;
  const near = nearNames(
    key,
    [...store.entries()].map(([name]) => name),
  );
  throw new KedgeError(options.reason, `no ${options.noun} is called ${JSON.stringify(key.slice(0, 80))}`, {
    field: options.field,
    ...(near.length > 0 ? { hint: `did you mean ${near.join(" or ")}?` } : {}),
  });
}
