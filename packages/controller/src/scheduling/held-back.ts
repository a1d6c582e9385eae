import { type HeldBack, HeldBack_Reason } from "@kedge/proto";

/** What keeps a job waiting besides room, for people. */
export function heldBackText({ reason, subject, wanted, free, total }: HeldBack): string {
  switch (reason) {
    case HeldBack_Reason.QUOTA:
      return `quota ${subject}: wants ${wanted}, ${Math.max(0, free)} of ${total} are left`;
    case HeldBack_Reason.CONCURRENCY_GROUP:
      return `concurrency group ${subject} is full: ${total} at once`;
    case HeldBack_Reason.GANG:
      return `its gang cannot start: ${subject} finds no room or is not ready`;
    case HeldBack_Reason.RESERVATION:
      return `the room is held for ${subject}, which waits longer`;
    case HeldBack_Reason.PREEMPTING:
      return `jobs of lower priority on ${subject} make room for it`;
    case HeldBack_Reason.OUTBID:
      return `other jobs are worth more: ${subject} of them come first`;
    case HeldBack_Reason.UNSPECIFIED:
      return "";
    default:
      return reason satisfies never;
  }
}
