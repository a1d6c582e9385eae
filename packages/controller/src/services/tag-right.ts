import { KedgeError } from "@kedge/domain";
import type { Run, Step, TagModelRequest } from "@kedge/proto";
import type { Principal } from "@kedge/rpc";

/**
 * Refuses a task that would move a tag which none of its job's steps says it moves. Others may, if their role allows it.
 *
 * @param runOf the run of an id.
 * @throws KedgeError PERMISSION_DENIED.
 */
export function assertMayTag(
  { model, tag }: Pick<TagModelRequest, "model" | "tag">,
  { taskId, runId }: Pick<Principal, "taskId" | "runId">,
  runOf: (id: string) => Run | undefined,
): void {
  if (taskId === undefined) return;
  const job = runOf(runId ?? "")?.jobs.find(({ tasks }) => tasks.at(-1)?.id === taskId);
  const steps = job?.spec?.work.case === "steps" ? job.spec.work.value.steps : [];
  const post = (job?.spec?.post ?? []).flatMap(({ step }) => step ?? []);
  const names = ({ action }: Step): boolean =>
    action.case === "tagModel" && action.value.model === model && action.value.tags.includes(tag);
  if ([...steps, ...post].some(names)) return;
  const message = `task ${taskId} may not move tag ${JSON.stringify(tag.slice(0, 80))}: no step of its job does`;
  throw new KedgeError("PERMISSION_DENIED", message, { field: "tag" });
}
