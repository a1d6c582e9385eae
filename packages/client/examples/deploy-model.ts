// Pushes a folder as a version of a model, deploys it by canary, and prints the rollout until it is over.
// node deploy-model.ts <folder> <model> <deployment>
import { createKedgeClient, loadContext, pushModelFolder, waitForRollout } from "@kedge/client";
import { type Deployment, RolloutState } from "@kedge/proto";

const [folder = "", model = "", name = ""] = process.argv.slice(2);
const client = createKedgeClient(await loadContext());
try {
  const { version, existed } = await pushModelFolder(client, folder, { model });
  console.log(`${model} version ${version?.version}${existed ? ", which was there" : ""}`);
  await client.deployments.applyDeployment({
    spec: {
      name,
      template: {
        source: { case: "model", value: { model, version: String(version?.version) } },
        resources: { cpuMilli: 100, memoryMib: 256 },
      },
      scale: { case: "replicas", value: 1 },
      strategy: {
        kind: { case: "canary", value: { steps: [{ weightPercent: 25, holdSeconds: 1 }, { weightPercent: 100 }] } },
      },
    },
  });
  const rollout = await waitForRollout(client, name, { onChange: tell, signal: AbortSignal.timeout(600_000) });
  const last = rollout?.transitions.at(-1);
  console.log(
    `${RolloutState[rollout?.state ?? RolloutState.UNSPECIFIED]}: ${last?.reason ?? "it never had its turn"}`,
  );
  if (rollout?.state !== RolloutState.SUCCEEDED) process.exitCode = 1;
} finally {
  client.close();
}

function tell({ rollout, replicas, route }: Deployment): void {
  const shares = (route?.splits ?? []).map(({ revision, basisPoints }) => `${revision}: ${basisPoints / 100} %`);
  const state = rollout === undefined ? "no rollout yet" : RolloutState[rollout.state];
  console.log(`${state}, ${replicas.length} replicas, traffic [${shares.join(", ")}]`);
}
