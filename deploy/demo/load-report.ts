/** What one request came to. */
export interface Answer {
  /** When it was sent, milliseconds since 1970. */
  readonly sentAt: number;
  /** When it was over, milliseconds since 1970. */
  readonly at: number;
  /** Why it counts as failed; empty when it was answered. */
  readonly failure: string;
  /** The model version that answered. */
  readonly version: string;
  /** The label the model gave. */
  readonly label: string;
}

/** What the load process tells since its last report. */
export interface LoadReport {
  readonly answers: readonly Answer[];
}
