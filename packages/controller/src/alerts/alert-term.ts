import { Reconciler } from "@kedge/kernel";
import { type LaneOptions, ReceiverLane } from "./receiver-lane.ts";
import { alertPolicy } from "./stored-policy.ts";

const SWEEP = "receivers that are gone";

/** Telling receivers of incidents, for one term as the leader: a lane for each receiver of the policy. */
export class AlertTerm {
  readonly #options: LaneOptions;
  readonly #lanes = new Map<string, ReceiverLane>();
  readonly #sweeper: Reconciler;
  #stops: (() => void)[] = [];
  /** Lanes of receivers that left the policy, on their way out. */
  #leaving: Promise<void>[] = [];

  constructor(options: LaneOptions) {
    this.#options = options;
    const { clock, logger } = options;
    this.#sweeper = new Reconciler({ name: "alerts", clock, logger, reconcile: () => this.#sweep() });
  }

  /** Starts with a look at everything. Call once, with the stores read. */
  start(): void {
    const { stores } = this.#options;
    this.#stops = [
      stores.incidents.onChange((incidentId) => this.#touch(incidentId)),
      stores.alertPolicy.onChange(() => this.#followPolicy()),
    ];
    this.#sweeper.start();
    this.#followPolicy();
  }

  /** May be called twice. What is under way is given up and repeated by the next term. */
  async stop(): Promise<void> {
    for (const stop of this.#stops.splice(0)) stop();
    const lanes = [...this.#lanes.values()].map((lane) => lane.stop());
    this.#lanes.clear();
    await Promise.all([...lanes, ...this.#leaving.splice(0), this.#sweeper.stop()]);
  }

  #touch(incidentId: string): void {
    for (const lane of this.#lanes.values()) lane.add(incidentId);
  }

  #followPolicy(): void {
    const { stores } = this.#options;
    const wanted = new Map(alertPolicy(stores).receivers.map((receiver) => [receiver.name, receiver]));
    for (const [name, lane] of this.#lanes) {
      if (wanted.has(name)) continue;
      this.#lanes.delete(name);
      this.#leaving.push(lane.stop());
    }
    for (const [name, receiver] of wanted) {
      if (!this.#lanes.has(name)) this.#lanes.set(name, new ReceiverLane(receiver, this.#options));
    }
    for (const [incidentId] of stores.incidents.entries()) this.#touch(incidentId);
    for (const [, { value }] of stores.alerts.entries()) this.#lanes.get(value.receiver)?.add(value.incidentId);
    this.#sweeper.add(SWEEP);
  }

  /** Forgets what receivers were told that are not there any more. */
  async #sweep(): Promise<undefined> {
    const { stores } = this.#options;
    const known = new Set(alertPolicy(stores).receivers.map(({ name }) => name));
    for (const [key, { value, revision }] of [...stores.alerts.entries()]) {
      if (!known.has(value.receiver)) await stores.alerts.delete(key, revision);
    }
    return undefined;
  }
}
