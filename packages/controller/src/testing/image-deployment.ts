import type { MessageInitShape } from "@bufbuild/protobuf";
import {
  type Deployment,
  DeploymentService,
  type DeploymentSpecSchema,
  type ResourceRequestSchema,
  RolloutState,
  RuntimeKind,
} from "@kedge/proto";
import type { ControllerHarness } from "./controller-harness.ts";
import { eventually } from "./eventually.ts";
import type { ScriptedAgent } from "./scripted-agent.ts";

type Spec = MessageInitShape<typeof DeploymentSpecSchema>;

/** A deployment of an image in a harness: applied, steered and looked at through the API. */
export class ImageDeployment {
  readonly name: string;
  readonly #harness: ControllerHarness;
  readonly #more: Partial<Spec>;

  /** `more` is what its spec says besides the template; one replica by default. */
  constructor(harness: ControllerHarness, name: string, more: Partial<Spec>) {
    this.#harness = harness;
    this.name = name;
    this.#more = more;
  }

  /** Makes an image the wanted one; another than before makes a revision. */
  async apply(image: string, resources: MessageInitShape<typeof ResourceRequestSchema> = {}): Promise<void> {
    const source = { case: "image", value: image } as const;
    const template = { source, runtime: RuntimeKind.PROCESS, port: 80, resources };
    const scale = { case: "replicas", value: 1 } as const;
    const spec = { scale, ...this.#more, name: this.name, template } as Spec;
    await this.#harness.client(DeploymentService).applyDeployment({ spec });
  }

  async look(): Promise<Deployment> {
    const { deployment } = await this.#harness.client(DeploymentService).getDeployment({ name: this.name });
    if (deployment === undefined) throw new Error("no deployment came back");
    return deployment;
  }

  until(isDone: (deployment: Deployment) => boolean): Promise<Deployment> {
    return eventually(() => this.look(), isDone);
  }

  /** Once the rollout to a revision is in a state; puts the clock forward while a promotion waits for gateways to drain. */
  rolledOut(revision: number, state = RolloutState.SUCCEEDED): Promise<Deployment> {
    return eventually(
      async () => {
        const seen = await this.look();
        if (seen.rollout?.state === RolloutState.PROMOTING) this.#harness.clock.skip(1_000);
        return seen;
      },
      ({ rollout }) => rollout?.toRevision === revision && rollout.state === state,
    );
  }

  /** Asks for the rest of a step once it waits for a person. */
  async promoteOnceAsked(): Promise<void> {
    await this.until(({ rollout }) => rollout?.waitsForPerson === true);
    await this.#harness.client(DeploymentService).promoteRollout({ deployment: this.name });
  }

  /** The revisions of the replicas that a node has to run, ascending. */
  revisionsOn(agent: ScriptedAgent): number[] {
    const own = agent.assignment?.replicas.filter(({ deployment }) => deployment === this.name) ?? [];
    return own.map(({ revision }) => revision).toSorted((a, b) => a - b);
  }

  /** The split that a node's route document has, in percent by revision. */
  splitOn(agent: ScriptedAgent): Record<number, number> {
    const splits = agent.routes.get(this.name)?.splits ?? [];
    return Object.fromEntries(splits.map(({ revision, basisPoints }) => [revision, basisPoints / 100]));
  }
}

/** Why a rollout went the way it went, one line a transition. */
export function reasonsOf({ rollout }: Deployment): string {
  return rollout?.transitions.map(({ reason }) => reason).join("\n") ?? "";
}
