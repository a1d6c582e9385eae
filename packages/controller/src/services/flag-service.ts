import { create, fromJson, toBinary } from "@bufbuild/protobuf";
import { ValueSchema } from "@bufbuild/protobuf/wkt";
import { type Bus, readFlagChanges, type StoredFlagChange } from "@kedge/bus";
import { KedgeError } from "@kedge/domain";
import {
  FlagChangeSchema,
  type FlagEvaluation,
  FlagEvaluationSchema,
  FlagSchema,
  type FlagService,
} from "@kedge/proto";
import { explainFlag, type FlagOutcome } from "@kedge/rollout/flags";
import type { CallContext, ServiceImplementation } from "@kedge/rpc";
import { ALL_FLAGS } from "../flags/flag-publisher.ts";
import type { FlagOrigin, FlagWriter } from "../flags/flag-writer.ts";
import { findFlag, liveFlags } from "../flags/live-flags.ts";
import type { Stores } from "../stores.ts";
import { changes } from "./change-stream.ts";
import { pageOf } from "./paging.ts";

/** What the flag service works with. */
export interface FlagServiceOptions {
  readonly bus: Bus;
  readonly stores: Pick<Stores, "flagRecords" | "flags">;
  readonly writer: FlagWriter;
}

const DEFAULT_CHANGES = 50;
const MAX_CHANGES = 100;
const MAX_PAGE_BYTES = 2 * 1024 * 1024;

/** FlagService: feature flags, their audit trail, and who gets what and why. */
export function createFlagService({
  bus,
  stores,
  writer,
}: FlagServiceOptions): ServiceImplementation<typeof FlagService> {
  return {
    applyFlag: async (request, context) => {
      if (request.flag === undefined) throw new KedgeError("INVALID_FIELD", "flag is missing", { field: "flag" });
      return writer.apply(request.flag, originOf(request, context));
    },
    getFlag: async ({ name }) => ({ flag: findFlag(stores, name) }),
    listFlags: async (request) => {
      const bytesOf = (flag: ReturnType<typeof findFlag>) => toBinary(FlagSchema, flag).byteLength;
      const page = pageOf(liveFlags(stores), ({ name }) => name, { ...request, bytesOf });
      return { flags: page.items, nextPageToken: page.nextPageToken };
    },
    watchFlags: async function* (_request, context) {
      for await (const _ of changes((notify) => stores.flags.onChange(notify), context.signal)) {
        const flags = stores.flags.get(ALL_FLAGS)?.value;
        if (flags !== undefined) yield { flags };
      }
    },
    deleteFlag: async (request, context) => {
      await writer.delete(request.name, originOf(request, context));
      return {};
    },
    explainFlag: async ({ name, attributes = {} }) => {
      const { outcome, lines } = explainFlag(findFlag(stores, name), attributes);
      return { evaluation: evaluationOf(name, outcome), lines: [...lines] };
    },
    listFlagChanges: async ({ flag, pageSize, pageToken }, context) => {
      const size = Math.min(pageSize || DEFAULT_CHANGES, MAX_CHANGES);
      const before = pageToken === "" ? {} : { before: sequenceOf(pageToken) };
      // One more than asked for tells whether there is a next page.
      const options = { ...(flag === "" ? {} : { flag }), limit: size + 1, ...before };
      return pageOfChanges(await readFlagChanges(bus, options, context.signal), size);
    },
  };
}

function originOf(
  { expectedGeneration, reason }: { readonly expectedGeneration?: bigint | undefined; readonly reason: string },
  { principal }: CallContext,
): FlagOrigin {
  return { by: principal.name, reason, expectedGeneration };
}

function evaluationOf(flag: string, { value, ...outcome }: FlagOutcome): FlagEvaluation {
  return create(FlagEvaluationSchema, {
    ...{ flag, ...outcome },
    ...(value === undefined ? {} : { value: fromJson(ValueSchema, value) }),
  });
}

/** As many as one answer carries, at least one. */
function pageOfChanges(found: readonly StoredFlagChange[], size: number) {
  let bytes = 0;
  const tooMany = found.findIndex(({ change }, i) => {
    bytes += toBinary(FlagChangeSchema, change).byteLength;
    return i >= size || (i > 0 && bytes > MAX_PAGE_BYTES);
  });
  const page = tooMany < 0 ? found : found.slice(0, tooMany);
  const nextPageToken = tooMany < 0 ? "" : String(page.at(-1)?.sequence ?? "");
  return { changes: page.map(({ change }) => change), nextPageToken };
}

function sequenceOf(token: string): number {
  if (/^[1-9]\d{0,15}$/.test(token)) return Number(token);
  throw new KedgeError("INVALID_PAGE_TOKEN", "the page token was not made by this server", { field: "page_token" });
}
