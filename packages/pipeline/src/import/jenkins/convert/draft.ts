/** A step as it is written in kedge.yaml. */
export interface StepDraft {
  name?: string;
  run?: string | { script?: string; command?: readonly string[]; image?: string };
  checkout?: Readonly<Record<string, string | boolean>>;
  build?: { context?: string; dockerfile?: string; args?: Record<string, string>; tags?: string[]; push?: boolean };
  env?: Record<string, string>;
  timeout?: string;
  "run-if"?: "failure" | "always";
  "allow-failure"?: boolean;
}

/** A condition as it is written under `when`. */
export interface WhenDraft {
  branch?: string[];
  tag?: string[];
  event?: string[];
  changed?: string[];
  values?: Readonly<Record<string, string | readonly string[]>>[];
  all?: WhenDraft[];
  any?: WhenDraft[];
  not?: WhenDraft;
}

/** Files that a job leaves. */
export interface ArtifactDraft {
  name: string;
  paths: string[];
  on?: "failure" | "always";
  required?: boolean;
  report?: "junit";
}

/** Who logs in to a registry. */
export interface LoginDraft {
  host: string;
  username: { secret: string };
  password: string;
}

/** A job as it is written in kedge.yaml. */
export interface JobDraft {
  title?: string;
  needs?: (string | { job: string; optional: true })[];
  "run-if"?: "failure" | "always";
  when?: WhenDraft;
  matrix?: Record<string, unknown>;
  "fail-fast"?: boolean;
  require?: string[];
  image?: string;
  pull?: "always";
  timeout?: string;
  concurrency?: string;
  retry?: { attempts: number; rules: readonly { on: readonly string[] }[] };
  secrets?: Readonly<Record<string, string>>[];
  registries?: LoginDraft[];
  env?: Record<string, string>;
  cache?: Record<string, unknown>[];
  inputs?: { job: string; artifact: string }[];
  steps?: StepDraft[];
  post?: Partial<Record<"always" | "success" | "failure", StepDraft[]>>;
  artifacts?: ArtifactDraft[];
  approval?: { message?: string; approvers?: string[] };
  call?: { pipeline: string; parameters?: Record<string, string>; detach?: boolean };
}

/** A pipeline as it is written in kedge.yaml. */
export interface PipelineDraft {
  name: string;
  on?: Record<string, unknown>;
  runs?: Record<string, unknown>;
  timeout?: string;
  parameters?: Record<string, Record<string, unknown>>;
  env?: Record<string, string>;
  jobs: Record<string, object>;
}
