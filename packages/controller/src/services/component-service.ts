import { createHash } from "node:crypto";
import { clone, create } from "@bufbuild/protobuf";
import { timestampFromMs, timestampMs } from "@bufbuild/protobuf/wkt";
import { isKedgeError, KedgeError, nearNames } from "@kedge/domain";
import type { Clock } from "@kedge/kernel";
import { parseComponent } from "@kedge/pipeline";
import { type Component, ComponentSchema, type ComponentService } from "@kedge/proto";
import type { ServiceImplementation } from "@kedge/rpc";
import type { EventRecorder } from "../events/recorder.ts";
import type { Stores } from "../stores.ts";
import { diagnosticText } from "./diagnostic-text.ts";
import { pageOf } from "./paging.ts";

/** What the component service works with. */
export interface ComponentServiceOptions {
  readonly stores: Pick<Stores, "components">;
  readonly events: Pick<EventRecorder, "record">;
  readonly clock: Clock;
}

/** ComponentService: steps that pipelines share, each under the digest of its text, never changed. */
export function createComponentService(
  options: ComponentServiceOptions,
): ServiceImplementation<typeof ComponentService> {
  const { stores } = options;
  return {
    pushComponent: async ({ source }, context) => ({ component: await push(options, source, context.principal.name) }),
    getComponent: async ({ name, digest }) => ({
      component: findComponent(stores, name, digest.replace(/^sha256:/, "")),
    }),
    listComponents: async (request) => {
      const all = [...stores.components.entries()].map(([, { value }]) => value);
      const wanted = all.filter(({ name }) => request.name === "" || name === request.name);
      const page = pageOf(wanted.toSorted(compare), listKey, request);
      return { components: page.items.map(withoutSource), nextPageToken: page.nextPageToken };
    },
  };
}

/** Sources of the components that a pipeline asks for, by "<name>@sha256:<digest>", as far as they are there. */
export function componentSources({ components }: Pick<Stores, "components">, used: readonly string[]) {
  const found = new Map<string, string>();
  for (const use of used) {
    const source = components.get(use.replace("@sha256:", "."))?.value.source;
    if (source !== undefined) found.set(use, source);
  }
  return found;
}

async function push(
  { stores, events, clock }: ComponentServiceOptions,
  source: string,
  by: string,
): Promise<Component> {
  const { component: parsed, diagnostics } = parseComponent(source);
  if (parsed === undefined) {
    throw new KedgeError("INVALID_PIPELINE", diagnosticText(diagnostics), { field: "source" });
  }
  const { name, description, inputs } = parsed;
  const digest = createHash("sha256").update(source).digest("hex");
  const key = `${name}.${digest}`;
  const known = stores.components.get(key)?.value;
  if (known !== undefined) return known;
  const about = { pushedAt: timestampFromMs(clock.now()), pushedBy: by };
  const component = create(ComponentSchema, { name, digest, source, description, inputs, ...about });
  try {
    await stores.components.create(key, component);
  } catch (error) {
    // The same text was pushed at the same moment.
    if (!isKedgeError(error, "CONFLICT")) throw error;
    return stores.components.get(key)?.value ?? component;
  }
  const message = `component ${name}@sha256:${digest} by ${by}`;
  events.record({ kind: "controller", name, reason: "ComponentPushed", message, fields: { digest, by } });
  return component;
}

function findComponent({ components }: Pick<Stores, "components">, name: string, digest: string): Component {
  const all = [...components.entries()].map(([, { value }]) => value);
  const named = all.filter((component) => component.name === name).toSorted(compare);
  const found = named.filter((component) => component.digest.startsWith(digest));
  const [newest] = found;
  if (newest !== undefined && (digest === "" || found.length === 1)) return newest;
  if (found.length > 1)
    throw missing(`${found.length} digests of ${name} begin with ${digest}`, "give more of the digest");
  if (named.length > 0)
    throw missing(`component ${name} was never pushed with digest ${digest}`, "kedge component list");
  const near = nearNames(
    name,
    all.map((component) => component.name),
  );
  const hint = near.length > 0 ? `did you mean ${near.join(" or ")}?` : "push it first: kedge component push FILE";
  throw missing(`no component is called ${JSON.stringify(name.slice(0, 80))}`, hint);
}

function missing(message: string, hint: string): KedgeError {
  return new KedgeError("COMPONENT_NOT_FOUND", message, { field: "name", hint });
}

function compare(a: Component, b: Component): number {
  return listKey(a) < listKey(b) ? -1 : 1;
}

/** By name, the newest first. */
function listKey({ name, digest, pushedAt }: Component): string {
  const age = Number.MAX_SAFE_INTEGER - (pushedAt === undefined ? 0 : timestampMs(pushedAt));
  return `${name}/${String(age).padStart(16, "0")}/${digest}`;
}

function withoutSource(component: Component): Component {
  const shown = clone(ComponentSchema, component);
  shown.source = "";
  return shown;
}
