import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import { isKedgeError } from "@kedge/domain";
import type { Clock } from "@kedge/kernel";
import { type Incident, type IncidentService, IncidentState } from "@kedge/proto";
import type { ServiceImplementation } from "@kedge/rpc";
import type { EventRecorder } from "../events/recorder.ts";
import { close, draftOf } from "../incidents/incident-document.ts";
import { recordIncident } from "../incidents/incidents.ts";
import type { Stores } from "../stores.ts";
import { changes } from "./change-stream.ts";
import { lookUp } from "./lookup.ts";
import { pageOf } from "./paging.ts";

/** What the incident service works with. */
export interface IncidentServiceOptions {
  readonly stores: Stores;
  readonly events: EventRecorder;
  readonly clock: Clock;
}

const MAX_RACES = 20;

/** IncidentService: what went wrong, why, and who took note of it. */
export function createIncidentService(options: IncidentServiceOptions): ServiceImplementation<typeof IncidentService> {
  const { stores, clock, events } = options;
  return {
    listIncidents: async (request) => {
      const all = [...stores.incidents.entries()].map(([, { value }]) => value);
      const wanted = all
        .filter((incident) => request.state === IncidentState.UNSPECIFIED || incident.state === request.state)
        .filter((incident) => isAbout(incident, request))
        .sort((a, b) => (a.id < b.id ? 1 : -1));
      const page = pageOf(wanted, ({ id }) => id, {
        ...{ pageSize: request.pageSize, pageToken: request.pageToken, descending: true },
        bytesOf: ({ series }) => 500 + 40 * series.reduce((sum, { points }) => sum + points.length, 0),
      });
      return { incidents: page.items, nextPageToken: page.nextPageToken };
    },
    getIncident: async ({ id }) => ({ incident: findIncident(stores, id).value }),
    watchIncidents: async function* (request, context) {
      const dirty = new Set<string>();
      for (const [id, { value }] of stores.incidents.entries()) if (value.state === IncidentState.OPEN) dirty.add(id);
      const subscribe = (notify: () => void) =>
        stores.incidents.onChange((id) => {
          dirty.add(id);
          notify();
        });
      for await (const _ of changes(subscribe, context.signal)) {
        for (const id of [...dirty].sort()) {
          dirty.delete(id);
          const incident = stores.incidents.get(id)?.value;
          if (incident !== undefined && isAbout(incident, request)) yield { incident };
        }
      }
    },
    acknowledgeIncident: async ({ id }, { principal }) => {
      const incident = await change(stores, id, (draft) => {
        if (draft.acknowledgedBy !== "") return false;
        draft.acknowledgedBy = principal.name;
        draft.acknowledgedAt = timestampFromMs(clock.now());
        return true;
      });
      if (incident.isChanged) recordIncident(events, incident.value, "Acknowledged");
      return { incident: incident.value };
    },
    resolveIncident: async ({ id }, { principal }) => {
      const incident = await change(stores, id, (draft) => {
        if (draft.state !== IncidentState.OPEN) return false;
        close(draft, `closed by ${principal.name}`, principal.name, clock.now());
        return true;
      });
      if (incident.isChanged) recordIncident(events, incident.value, "Resolved");
      return { incident: incident.value };
    },
  };
}

/** Everything that touches a node is about it: also what a deployment shows there. */
function isAbout(
  { subject }: Incident,
  { deployment, nodeId }: { readonly deployment: string; readonly nodeId: string },
): boolean {
  const isOfDeployment = deployment === "" || subject?.deployment === deployment;
  return isOfDeployment && (nodeId === "" || subject?.nodeId === nodeId);
}

function findIncident(stores: Stores, id: string) {
  return lookUp(stores.incidents, id, { reason: "INCIDENT_NOT_FOUND", noun: "incident", field: "id" });
}

/** Changes an incident by compare-and-set; `edit` tells whether there is anything to change, so it may be called twice. */
async function change(
  stores: Stores,
  id: string,
  edit: (draft: Incident) => boolean,
): Promise<{ readonly value: Incident; readonly isChanged: boolean }> {
  for (let attempt = 1; ; attempt++) {
    const { value, revision } = findIncident(stores, id);
    const draft = draftOf(value);
    if (!edit(draft)) return { value, isChanged: false };
    try {
      return { value: (await stores.incidents.update(id, draft, revision)).value, isChanged: true };
    } catch (error) {
      if (!isKedgeError(error, "CONFLICT") || attempt >= MAX_RACES) throw error;
    }
  }
}
