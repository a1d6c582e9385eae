/** What a replica's id is made of. */
export interface ReplicaNames {
  readonly deployment: string;
  readonly revision: number;
  readonly nodeId: string;
}

/** The first id for one more replica that is not among `used`. */
export function freeReplicaId(used: Iterable<string>, { deployment, revision, nodeId }: ReplicaNames): string {
  const taken = new Set(used);
  for (let index = 0; ; index++) {
    // Names may hold dashes, but no dots.
    const id = [deployment, revision, nodeId, index].join(".");
    if (!taken.has(id)) return id;
  }
}
