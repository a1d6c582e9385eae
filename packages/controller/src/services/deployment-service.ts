import { isRolloutEnded, KedgeError } from "@kedge/domain";
import type { Deployment, DeploymentService, Rollout } from "@kedge/proto";
import {
  abortRollout,
  type DeploymentRequest,
  pauseRollout,
  promoteRollout,
  resumeRollout,
  retryRevision,
  rollbackDeployment,
} from "@kedge/rollout";
import type { CallContext, ServiceImplementation } from "@kedge/rpc";
import type { DeploymentWriter } from "../deployments/apply.ts";
import { explainDeployment } from "../deployments/explain-deployment.ts";
import { type LiveViewOptions, liveDeployment } from "../deployments/live-view.ts";
import type { Stores } from "../stores.ts";
import { changes } from "./change-stream.ts";
import { lookUp } from "./lookup.ts";
import { pageOf } from "./paging.ts";

/** What the deployment service works with. */
export interface DeploymentServiceOptions extends LiveViewOptions {
  readonly stores: Stores;
  readonly writer: DeploymentWriter;
}

const notFound = (field: string) => ({ reason: "DEPLOYMENT_NOT_FOUND", noun: "deployment", field }) as const;

/** DeploymentService: wanted state in, live state out, and a hand on the rollout. */
export function createDeploymentService(
  options: DeploymentServiceOptions,
): ServiceImplementation<typeof DeploymentService> {
  const { stores, writer, clock } = options;
  const describe = (deployment: Deployment): Deployment => liveDeployment(deployment, options);

  const steer = async (name: string, change: (rollout: Rollout, nowMs: number) => Rollout) => {
    lookUp(stores.deployments, name, notFound("deployment"));
    const { deployment } = await writer.edit(name, (draft) => {
      const rollout = draft.rollout;
      if (rollout === undefined || isRolloutEnded(rollout.state)) {
        throw new KedgeError("NO_ROLLOUT", `deployment ${name} has no rollout in progress`, { field: "deployment" });
      }
      draft.rollout = change(rollout, clock.now());
      return rollout.toRevision;
    });
    return { deployment: describe(deployment) };
  };

  /** To a revision that a person names, or that follows from what was before. */
  const send = async (
    request: { readonly deployment: string; readonly revision: number },
    context: CallContext,
    change: (draft: Deployment, revision: number, asked: DeploymentRequest) => number,
  ) => {
    lookUp(stores.deployments, request.deployment, notFound("deployment"));
    const { deployment } = await writer.edit(request.deployment, (draft, nowMs) =>
      change(draft, request.revision, { who: context.principal.name, nowMs }),
    );
    return { deployment: describe(deployment) };
  };

  return {
    applyDeployment: async (request, context) => {
      if (request.spec === undefined) throw new KedgeError("INVALID_FIELD", "spec is missing", { field: "spec" });
      const origin = { createdBy: context.principal.name, force: request.forceRevision };
      const { deployment, changed, heldBack = "" } = await writer.apply(request.spec, origin);
      return { deployment: describe(deployment), changed, heldBack };
    },
    getDeployment: async (request) => ({
      deployment: describe(lookUp(stores.deployments, request.name, notFound("name")).value),
    }),
    listDeployments: async (request) => {
      const all = [...stores.deployments.entries()].map(([, { value }]) => value);
      const page = pageOf(
        all.toSorted((a, b) => (a.name < b.name ? -1 : 1)),
        (deployment) => deployment.name,
        request,
      );
      return { deployments: page.items.map(describe), nextPageToken: page.nextPageToken };
    },
    watchDeployment: async function* (request, context) {
      const { name } = lookUp(stores.deployments, request.name, notFound("name")).value;
      for await (const _ of changes((notify) => watchOne(options, name, notify), context.signal)) {
        const deployment = stores.deployments.get(name)?.value;
        if (deployment === undefined) return;
        yield { deployment: describe(deployment) };
      }
    },
    deleteDeployment: async (request) => {
      lookUp(stores.deployments, request.name, notFound("name"));
      await writer.edit(request.name, (draft) => {
        draft.deleting = true;
        return 0;
      });
      return {};
    },
    promoteRollout: ({ deployment }) => steer(deployment, promoteRollout),
    pauseRollout: ({ deployment }, context) =>
      steer(deployment, (rollout, nowMs) => pauseRollout(rollout, nowMs, `paused by ${context.principal.name}`)),
    resumeRollout: ({ deployment }, context) =>
      steer(deployment, (rollout, nowMs) => resumeRollout(rollout, nowMs, `resumed by ${context.principal.name}`)),
    abortRollout: ({ deployment, reason }, context) =>
      steer(deployment, (rollout, nowMs) => abortRollout(rollout, nowMs, abortReason(reason, context))),
    rollbackDeployment: (request, context) => send(request, context, rollbackDeployment),
    retryRollout: (request, context) => send(request, context, retryRevision),
    explainDeployment: async (request) => {
      const { value } = lookUp(stores.deployments, request.name, notFound("name"));
      const deployment = describe(value);
      return {
        lines: explainDeployment(deployment, clock.now()),
        ...(deployment.rollout === undefined ? {} : { rollout: deployment.rollout }),
        ...(deployment.pending === undefined ? {} : { pending: deployment.pending }),
      };
    },
  };
}

function abortReason(reason: string, context: CallContext): string {
  const who = `aborted by ${context.principal.name}`;
  return reason === "" ? who : `${who}: ${reason}`;
}

function watchOne({ stores, registry }: DeploymentServiceOptions, name: string, notify: () => void): () => void {
  const onKey = (key: string) => {
    if (key === name) notify();
  };
  const stops = [
    stores.deployments.onChange(onKey),
    stores.routes.onChange(onKey),
    registry.onHeartbeat((nodeId) => {
      if (registry.latest(nodeId)?.replicas.some((replica) => replica.deployment === name)) notify();
    }),
  ];
  return () => {
    for (const stop of stops) stop();
  };
}
