import type { AlertNotice, Incident } from "@kedge/proto";

/** What a message to a receiver is made of. */
export interface Notice {
  readonly incident: Incident;
  readonly notice: AlertNotice;
  /** Stable over all attempts. */
  readonly id: string;
  /** Counts the notices of the incident to this receiver. */
  readonly number: number;
  readonly links: GraphLinks;
  /** Milliseconds since 1970. */
  readonly nowMs: number;
}

/** Where the graph is seen. */
export interface GraphLinks {
  readonly svg: string;
  readonly png: string;
  /** Whether an administrator says that others reach them; else they are this machine's own address. */
  readonly arePublic: boolean;
}
