import { type Bus, openStore, type Signer, type Store } from "@kedge/bus";
import {
  AlertDeliverySchema,
  AssignmentSchema,
  CacheEntrySchema,
  CommitStatusSchema,
  ComponentSchema,
  DeploymentSchema,
  FlagRecordSchema,
  FlagsSchema,
  HookDeliverySchema,
  IncidentSchema,
  ModelSchema,
  ModelVersionSchema,
  NodeSchema,
  PipelineSchema,
  RepositorySchema,
  RepositoryStateSchema,
  RouteSchema,
  RunSchema,
  SchedulingPolicySchema,
  SecretSchema,
  StoredAlertPolicySchema,
  StoredArtifactSchema,
  TokenSchema,
} from "@kedge/proto";
import { createRunEncoder } from "./runs/encode-run.ts";

/** Every document the controller keeps, each bucket behind an in-memory read model. */
export interface Stores {
  readonly nodes: Store<typeof NodeSchema>;
  readonly runs: Store<typeof RunSchema>;
  readonly pipelines: Store<typeof PipelineSchema>;
  /** By name and digest. */
  readonly components: Store<typeof ComponentSchema>;
  readonly deployments: Store<typeof DeploymentSchema>;
  readonly models: Store<typeof ModelSchema>;
  readonly modelVersions: Store<typeof ModelVersionSchema>;
  readonly tokens: Store<typeof TokenSchema>;
  /** One document, under "scheduling". */
  readonly policies: Store<typeof SchedulingPolicySchema>;
  /** One document, under "alerts"; it holds secrets. */
  readonly alertPolicy: Store<typeof StoredAlertPolicySchema>;
  readonly incidents: Store<typeof IncidentSchema>;
  /** By incident and receiver: what was told. */
  readonly alerts: Store<typeof AlertDeliverySchema>;
  /** Encrypted. */
  readonly secrets: Store<typeof SecretSchema>;
  /** By run and parameter: values of secret parameters, encrypted. */
  readonly runSecrets: Store<typeof SecretSchema>;
  /** By run, job and name. */
  readonly artifacts: Store<typeof StoredArtifactSchema>;
  /** By digests of scope and key. */
  readonly caches: Store<typeof CacheEntrySchema>;
  readonly flagRecords: Store<typeof FlagRecordSchema>;
  readonly repositories: Store<typeof RepositorySchema>;
  /** What was seen of repositories, under "<name>.state". */
  readonly repositoryStates: Store<typeof RepositoryStateSchema>;
  /** Webhooks that came in, by repository and id. */
  readonly deliveries: Store<typeof HookDeliverySchema>;
  /** What forges are told, by repository and digest of commit and context. */
  readonly commitStatuses: Store<typeof CommitStatusSchema>;
  /** Signed for the node the key names. */
  readonly assignments: Store<typeof AssignmentSchema>;
  /** Signed for every node. */
  readonly routes: Store<typeof RouteSchema>;
  /** One document, under "all", signed for every node. */
  readonly flags: Store<typeof FlagsSchema>;
}

/** Opens all buckets; they are empty until started. */
export function openStores(bus: Bus, signer: Signer): Stores {
  return {
    nodes: openStore(bus, { bucket: "nodes", schema: NodeSchema }),
    runs: openStore(bus, { bucket: "runs", schema: RunSchema, encode: createRunEncoder() }),
    pipelines: openStore(bus, { bucket: "pipelines", schema: PipelineSchema }),
    components: openStore(bus, { bucket: "components", schema: ComponentSchema, keyTokens: 2 }),
    deployments: openStore(bus, { bucket: "deployments", schema: DeploymentSchema }),
    models: openStore(bus, { bucket: "models", schema: ModelSchema }),
    modelVersions: openStore(bus, { bucket: "versions", schema: ModelVersionSchema, keyTokens: 2 }),
    tokens: openStore(bus, { bucket: "tokens", schema: TokenSchema }),
    policies: openStore(bus, { bucket: "policies", schema: SchedulingPolicySchema, onlyKey: "scheduling" }),
    alertPolicy: openStore(bus, { bucket: "policies", schema: StoredAlertPolicySchema, onlyKey: "alerts" }),
    incidents: openStore(bus, { bucket: "incidents", schema: IncidentSchema }),
    alerts: openStore(bus, { bucket: "alerts", schema: AlertDeliverySchema, keyTokens: 2 }),
    secrets: openStore(bus, { bucket: "secrets", schema: SecretSchema }),
    runSecrets: openStore(bus, { bucket: "runsecrets", schema: SecretSchema, keyTokens: 2 }),
    artifacts: openStore(bus, { bucket: "artifacts", schema: StoredArtifactSchema, keyTokens: 3 }),
    caches: openStore(bus, { bucket: "caches", schema: CacheEntrySchema, keyTokens: 2 }),
    flagRecords: openStore(bus, { bucket: "flagrecords", schema: FlagRecordSchema }),
    repositories: openStore(bus, { bucket: "repositories", schema: RepositorySchema }),
    repositoryStates: openStore(bus, { bucket: "repositories", schema: RepositoryStateSchema, keyTokens: 2 }),
    deliveries: openStore(bus, { bucket: "deliveries", schema: HookDeliverySchema, keyTokens: 2 }),
    commitStatuses: openStore(bus, { bucket: "commitstatuses", schema: CommitStatusSchema, keyTokens: 2 }),
    assignments: openStore(bus, {
      bucket: "assignments",
      schema: AssignmentSchema,
      signing: { signer, audience: (nodeId) => nodeId },
    }),
    routes: openStore(bus, { bucket: "routes", schema: RouteSchema, signing: { signer, audience: () => "*" } }),
    flags: openStore(bus, { bucket: "flags", schema: FlagsSchema, signing: { signer, audience: () => "*" } }),
  };
}

/** Starts all read models; resolves when each has seen everything that is stored. */
export async function startStores(stores: Stores, signal: AbortSignal): Promise<void> {
  await Promise.all(Object.values(stores).map((store) => store.start(signal)));
}
