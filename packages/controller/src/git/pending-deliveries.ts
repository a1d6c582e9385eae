import { timestampMs } from "@bufbuild/protobuf/wkt";
import { HookDeliveryState } from "@kedge/proto";
import type { Stores } from "../stores.ts";

/** Which deliveries wait to be processed, without looking at all of them each time. */
export class PendingDeliveries {
  readonly #deliveries: Stores["deliveries"];
  readonly #byRepository = new Map<string, Set<string>>();
  #stop = (): void => {};

  constructor({ deliveries }: Pick<Stores, "deliveries">) {
    this.#deliveries = deliveries;
  }

  /** Follows the store until `stop`; calls back with the repository of each that waits. Call once. */
  start(onPending: (repository: string) => void): void {
    const follow = (key: string): void => {
      const delivery = this.#deliveries.get(key)?.value;
      const repository = delivery?.repository ?? key.slice(0, key.indexOf("."));
      const keys = this.#byRepository.get(repository) ?? new Set();
      this.#byRepository.set(repository, keys);
      if (delivery?.state !== HookDeliveryState.PENDING) return void keys.delete(key);
      keys.add(key);
      onPending(repository);
    };
    this.#stop = this.#deliveries.onChange(follow);
    for (const [key] of this.#deliveries.entries()) follow(key);
  }

  stop(): void {
    this.#stop();
  }

  /** Keys of a repository's, the oldest first. */
  of(repository: string): string[] {
    const keys = [...(this.#byRepository.get(repository) ?? [])];
    return keys.toSorted((a, b) => this.#receivedMs(a) - this.#receivedMs(b) || (a < b ? -1 : 1));
  }

  #receivedMs(key: string): number {
    const at = this.#deliveries.get(key)?.value.receivedAt;
    return at === undefined ? 0 : timestampMs(at);
  }
}
