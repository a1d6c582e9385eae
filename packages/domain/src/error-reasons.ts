/** gRPC status names; the codes every Kedge error maps to. Numbers: grpc/grpc doc/statuscodes.md. */
export const ErrorCode = {
  CANCELLED: 1,
  UNKNOWN: 2,
  INVALID_ARGUMENT: 3,
  DEADLINE_EXCEEDED: 4,
  NOT_FOUND: 5,
  ALREADY_EXISTS: 6,
  PERMISSION_DENIED: 7,
  RESOURCE_EXHAUSTED: 8,
  FAILED_PRECONDITION: 9,
  ABORTED: 10,
  UNIMPLEMENTED: 12,
  INTERNAL: 13,
  UNAVAILABLE: 14,
  UNAUTHENTICATED: 16,
} as const;
/** A gRPC status by name. */
export type ErrorCodeName = keyof typeof ErrorCode;

interface ReasonEntry {
  readonly code: ErrorCodeName;
  readonly retryable: boolean;
  /** What it means, one sentence; printed by the docs test and `kedge help errors`. */
  readonly meaning: string;
}

const entry = (code: ErrorCodeName, meaning: string, retryable = false): ReasonEntry => ({ code, retryable, meaning });

/**
 * The catalogue of everything that can go wrong in a way a caller may want to tell apart.
 * A reason is unique, never renamed, and has one code.
 */
export const ERROR_REASONS = {
  INVALID_FIELD: entry("INVALID_ARGUMENT", "A field of the request has a value it must not have."),
  INVALID_PIPELINE: entry("INVALID_ARGUMENT", "The pipeline file has errors; the message names line and column."),
  INVALID_DEPLOYMENT: entry("INVALID_ARGUMENT", "The deployment file has errors; the message names line and column."),
  INVALID_PAGE_TOKEN: entry("INVALID_ARGUMENT", "The page token was not made by this server for this list."),
  INVALID_OPTION: entry("INVALID_ARGUMENT", "A setting, flag or environment variable has a value it must not have."),
  INVALID_TREE: entry(
    "INVALID_ARGUMENT",
    "A list of files names what must not be unpacked, or does not hold together.",
  ),
  INVALID_MODEL: entry("INVALID_ARGUMENT", "The pushed files are not a model Kedge can serve."),
  RUN_NOT_FOUND: entry("NOT_FOUND", "No run has this id."),
  JOB_NOT_FOUND: entry("NOT_FOUND", "The run has no job of this name."),
  NODE_NOT_FOUND: entry("NOT_FOUND", "No node of this name is enrolled."),
  PIPELINE_NOT_FOUND: entry("NOT_FOUND", "No pipeline of this name was applied."),
  MODEL_NOT_FOUND: entry("NOT_FOUND", "The registry has no such model, version or tag."),
  DEPLOYMENT_NOT_FOUND: entry("NOT_FOUND", "No deployment has this name."),
  REVISION_NOT_FOUND: entry("NOT_FOUND", "The deployment has no such revision."),
  FLAG_NOT_FOUND: entry("NOT_FOUND", "No feature flag has this name."),
  INCIDENT_NOT_FOUND: entry("NOT_FOUND", "No incident has this id; closed ones are forgotten after 30 days."),
  SECRET_NOT_FOUND: entry("NOT_FOUND", "No secret has this name, or the run no longer has its secret parameter."),
  TOKEN_NOT_FOUND: entry("NOT_FOUND", "No token has this id."),
  REPOSITORY_NOT_FOUND: entry("NOT_FOUND", "No repository has this name."),
  DELIVERY_NOT_FOUND: entry("NOT_FOUND", "No webhook delivery has this id, or its body is no longer kept."),
  RECEIVER_NOT_FOUND: entry("NOT_FOUND", "The alert policy has no receiver of this name."),
  SILENCE_NOT_FOUND: entry("NOT_FOUND", "No silence has this id."),
  ARTIFACT_NOT_FOUND: entry("NOT_FOUND", "The job left no artifact of this name, or it has expired."),
  CACHE_NOT_FOUND: entry("NOT_FOUND", "No cache has this scope and key."),
  COMPONENT_NOT_FOUND: entry("NOT_FOUND", "No component of this name and digest was pushed."),
  CHUNK_NOT_FOUND: entry("NOT_FOUND", "The chunk store does not hold this digest."),
  NODE_EXISTS: entry("ALREADY_EXISTS", "A node of this name is enrolled with another key."),
  UNAUTHENTICATED: entry("UNAUTHENTICATED", "No bearer token came with the call, or it is not valid."),
  JOIN_TOKEN_INVALID: entry("UNAUTHENTICATED", "The join token is unknown, used up or expired."),
  PERMISSION_DENIED: entry("PERMISSION_DENIED", "The token's role may not do this."),
  SIGNATURE_INVALID: entry(
    "PERMISSION_DENIED",
    "A document is not signed by the controller, or not addressed to this node.",
  ),
  SECRET_OUT_OF_SCOPE: entry(
    "PERMISSION_DENIED",
    "The secret is not for this pipeline, environment or branch, or the run comes from a fork.",
  ),
  SECRET_KEY_LOST: entry("FAILED_PRECONDITION", "The key that secrets are encrypted with is missing or another one."),
  MODEL_SIGNATURE_CHANGED: entry(
    "FAILED_PRECONDITION",
    "Inputs or outputs differ incompatibly from the newest version's.",
  ),
  ARTIFACT_EXISTS: entry("ALREADY_EXISTS", "This attempt has put an artifact of this name already."),
  MODEL_IN_USE: entry("FAILED_PRECONDITION", "A deployment uses this model version."),
  JOB_IMPOSSIBLE: entry("FAILED_PRECONDITION", "A job asks for more than any known node has."),
  RUN_FINISHED: entry("FAILED_PRECONDITION", "The run has ended already."),
  JOB_NOT_BLOCKED: entry("FAILED_PRECONDITION", "The job does not wait for an approval."),
  RUN_NOT_BLOCKED: entry("FAILED_PRECONDITION", "The run does not wait for anybody's word."),
  COMMIT_MISMATCH: entry("FAILED_PRECONDITION", "The run is of another commit than the one that was decided on."),
  NO_ROLLOUT: entry("FAILED_PRECONDITION", "The deployment has no rollout in progress."),
  NO_PREVIOUS_REVISION: entry("FAILED_PRECONDITION", "There is no earlier revision to return to."),
  NODE_BUSY: entry("FAILED_PRECONDITION", "The node still runs tasks or replicas."),
  UNSUPPORTED_PLATFORM: entry("FAILED_PRECONDITION", "A program this needs is missing and cannot be installed here."),
  UNSUPPORTED: entry("UNIMPLEMENTED", "The server does not know this method; it is older than the caller."),
  CONFLICT: entry("ABORTED", "Somebody else changed the object at the same time; read it again and retry.", true),
  NOT_LEADER: entry("UNAVAILABLE", "This controller does not hold the lease.", true),
  BUS_UNAVAILABLE: entry("UNAVAILABLE", "NATS does not answer; Kedge keeps trying.", true),
  GIT_FAILED: entry("UNAVAILABLE", "Git could not reach or read a repository; the message has its words.", true),
  DOCKER_UNAVAILABLE: entry("UNAVAILABLE", "The Docker Engine does not answer; Kedge keeps trying.", true),
  GATEWAY_UNAVAILABLE: entry("UNAVAILABLE", "HAProxy does not run or does not answer on its socket.", true),
  MODEL_NOT_READY: entry("UNAVAILABLE", "The model is still loading, or its server is stopping.", true),
  CONTROLLER_UNAVAILABLE: entry("UNAVAILABLE", "The controller cannot be reached.", true),
  IMAGE_UNAVAILABLE: entry("UNAVAILABLE", "An image is not on the node and could not be pulled.", true),
  QUEUE_FULL: entry("RESOURCE_EXHAUSTED", "A bounded queue is full; retry later.", true),
  TOO_LARGE: entry("RESOURCE_EXHAUSTED", "A document or message is larger than its limit."),
  DIGEST_MISMATCH: entry("INTERNAL", "Stored bytes do not have the digest they are stored under."),
  PROCESS_FAILED: entry("INTERNAL", "A program Kedge started did not do its work."),
  HANDLER_FAILED: entry("INTERNAL", "The model's own handler.mjs threw, or answered with something illegal."),
  TIMEOUT: entry("DEADLINE_EXCEEDED", "It did not end in time.", true),
  CANCELLED: entry("CANCELLED", "The caller gave up."),
  INTERNAL: entry("INTERNAL", "A defect in Kedge; the log has the details."),
} as const satisfies Record<string, ReasonEntry>;

/** A key of the catalogue. */
export type ErrorReason = keyof typeof ERROR_REASONS;
