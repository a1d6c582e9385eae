import { RuntimeKind } from "@kedge/proto";
import { hasExpression, hashedGlobs, tokenise } from "./expressions.ts";
import { type Finding, nearHint, quote } from "./finding.ts";
import { ancestors, type JobGraph } from "./graph.ts";
import { runtimeOf } from "./job.ts";
import type { Pipeline } from "./pipeline-schema.ts";

/** Checks what jobs take of and leave to each other, and what needs containers. */
export function jobFileFindings(pipeline: Pipeline, graph: JobGraph): Finding[] {
  return Object.keys(pipeline.jobs).flatMap((job) => [
    ...inputFindings(job, pipeline, graph),
    ...serviceFindings(job, pipeline),
    ...cacheFindings(job, pipeline),
  ]);
}

function inputFindings(job: string, { jobs }: Pipeline, graph: JobGraph): Finding[] {
  const inputs = jobs[job]?.inputs ?? [];
  if (inputs.length === 0) return [];
  const before = ancestors(graph, job);
  return inputs.flatMap((use, i): Finding[] => {
    const path = ["jobs", job, "inputs", i];
    const other = jobs[use.job];
    if (other === undefined) {
      return [{ path, message: `no job is called ${quote(use.job)}`, hint: () => nearHint(use.job, graph.keys()) }];
    }
    if (!before.has(use.job)) {
      return [{ path, message: `${quote(job)} does not wait for ${quote(use.job)}`, hint: `add ${use.job} to needs` }];
    }
    const names = (other.artifacts ?? []).map((it) => it.name);
    if (names.length === 0) return [{ path, message: `${quote(use.job)} leaves no artifacts` }];
    if (use.name === "" || names.includes(use.name)) return [];
    return [
      {
        path,
        message: `${quote(use.job)} leaves no artifact ${quote(use.name)}`,
        hint: () => nearHint(use.name, names),
      },
    ];
  });
}

function serviceFindings(job: string, { jobs }: Pipeline): Finding[] {
  const body = jobs[job];
  if (body?.services === undefined || runtimeOf(body) === RuntimeKind.DOCKER) return [];
  const message = "services are containers, and so must be the job";
  return [{ path: ["jobs", job, "services"], atKey: true, message, hint: "give the job an image, or runtime: docker" }];
}

/** `hash(...)` is known where the files are, for keys of caches only. */
function cacheFindings(job: string, { jobs }: Pipeline): Finding[] {
  return (jobs[job]?.cache ?? []).flatMap((cache, i) =>
    cache.restoreKeys.flatMap((key, k): Finding[] => {
      const isHashed = hasExpression(key) && tokenise(key).some((it) => it.kind === "lookup" && hashedGlobs(it.name));
      if (!isHashed) return [];
      const message = "a restore key is the beginning of a key: a digest in it fits what `key` fits";
      return [{ path: ["jobs", job, "cache", i, "restore-keys", k], warning: true, message }];
    }),
  );
}
