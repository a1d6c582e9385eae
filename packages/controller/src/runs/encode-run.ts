import { toBinary } from "@bufbuild/protobuf";
import { BinaryWriter, WireType } from "@bufbuild/protobuf/wire";
import { isJobEnded } from "@kedge/domain";
import { type Job, JobSchema, type JobSpec, JobSpecSchema, type Run, RunSchema } from "@kedge/proto";

const JOBS = RunSchema.field.jobs.number;
const SPEC = JobSchema.field.spec.number;

/**
 * Encodes runs as `toBinary` does, keeping the bytes of what does not change from one state of a run to the next and is
 * the same object there: what its jobs are, and jobs that have ended. Encoding is most of what an event costs a run of a
 * thousand jobs.
 */
export function createRunEncoder(): (run: Run) => Uint8Array {
  const specs = new WeakMap<JobSpec, Uint8Array>();
  const ended = new WeakMap<Job, Uint8Array>();

  const encodeSpec = (spec: JobSpec): Uint8Array => {
    const bytes = specs.get(spec) ?? toBinary(JobSpecSchema, spec);
    specs.set(spec, bytes);
    return bytes;
  };
  const encodeJob = (job: Job): Uint8Array => {
    const { spec, ...rest } = job;
    const known = ended.get(job);
    if (known !== undefined) return known;
    const writer = new BinaryWriter();
    if (spec !== undefined) writer.tag(SPEC, WireType.LengthDelimited).bytes(encodeSpec(spec));
    // The parts of a message may come in any order, one after the other.
    const bytes = writer.raw(toBinary(JobSchema, rest)).finish();
    if (isJobEnded(job.state)) ended.set(job, bytes);
    return bytes;
  };

  return (run) => {
    const writer = new BinaryWriter().raw(toBinary(RunSchema, { ...run, jobs: [] }));
    for (const job of run.jobs) writer.tag(JOBS, WireType.LengthDelimited).bytes(encodeJob(job));
    return writer.finish();
  };
}
