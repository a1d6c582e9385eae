// The nodes with what is left on them, and the incidents that are open with their likeliest causes.
import { collect, createKedgeClient, loadContext } from "@kedge/client";
import { IncidentKind, IncidentState, NodeState } from "@kedge/proto";

const client = createKedgeClient(await loadContext());
try {
  const nodes = await collect(
    (pageToken) => client.nodes.listNodes({ pageToken }),
    (page) => page.nodes,
  );
  for (const { id, state, capacity, reserved, labels } of nodes) {
    const cores = ((capacity?.cpuMilli ?? 0) - (reserved?.cpuMilli ?? 0)) / 1000;
    console.log(`${id} ${NodeState[state]}, ${cores} cores free, labels ${JSON.stringify(labels)}`);
  }
  const incidents = await collect(
    (pageToken) => client.incidents.listIncidents({ state: IncidentState.OPEN, pageToken }),
    (page) => page.incidents,
    20,
  );
  for (const { id, kind, summary, causes } of incidents) {
    const why = causes[0] === undefined ? "" : ` (likely: ${causes[0].kind} ${causes[0].name})`;
    console.log(`${id} ${IncidentKind[kind]} ${summary}${why}`);
  }
  console.log(`${nodes.length} nodes, ${incidents.length} open incidents`);
} finally {
  client.close();
}
