/** Networks of one Docker Engine, one for each run that wants its steps to reach each other and nobody else's. */
export interface Networks {
  /** Makes a bridge network unless one of this name exists. May be called twice, also at once. */
  ensure(name: string, labels: Readonly<Record<string, string>>): Promise<void>;
  /** Names of the networks that carry all these labels. */
  list(labels: Readonly<Record<string, string>>): Promise<readonly string[]>;
  /** The engine's machine as containers of the network see it, IPv4; undefined for an unknown name or without one. */
  hostAddress(name: string): Promise<string | undefined>;
  /** An unknown name is fine; a network in use is `CONFLICT`, to be retried after its containers are gone. */
  remove(name: string): Promise<void>;
}
