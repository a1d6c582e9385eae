import type { RevisionWindow } from "@kedge/proto";

/** What a window tells of one revision besides its counts. */
export interface ArmDetail {
  readonly revision: number;
  /** Requests that the revision did not answer and that were sent again; they are among its errors. */
  readonly retried: number;
  /** Requests to replicas that were warming up. They are in none of the window's counts. */
  readonly warming: number;
  /** Users that were seen, and those among them that met an error; see `UserSketch`. Absent unless routing is sticky. */
  readonly users?: Uint8Array;
  readonly usersWithErrors?: Uint8Array;
}

/** How a mirrored revision's answers compare with those that users got. */
export interface ShadowDetail {
  /** The shadow's own answers. */
  readonly answers: RevisionWindow;
  /** Copies that were not made: bodies too large or of unknown length, and too many under way. */
  readonly tooLarge: number;
  readonly busy: number;
  /** Pairs of which both answers are known. */
  readonly compared: number;
  readonly differentStatus: number;
  /** Of the pairs in which both told a prediction. */
  readonly differentPrediction: number;
  /** Pairs in which the shadow took longer. */
  readonly slower: number;
}

/** What goes with a window. */
export interface WindowDetail {
  readonly arms: readonly ArmDetail[];
  /** Requests that a match rule sent to a revision: not assigned by chance, so counted apart. */
  readonly matched: readonly RevisionWindow[];
  readonly shadows: readonly ShadowDetail[];
}
