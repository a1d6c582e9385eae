import type { TaskEvent } from "@kedge/proto";
import { Inbox } from "../inbox.ts";

/** Task events that have arrived and are not yet part of their run's document. */
export class TaskInbox extends Inbox<TaskEvent> {}
