import {
  AlertService,
  ArtifactService,
  ComponentService,
  DeploymentService,
  EventService,
  FlagService,
  IncidentService,
  ModelService,
  NodeService,
  PipelineService,
  RepositoryService,
  RunService,
  SchedulingService,
  SecretService,
  TokenService,
} from "@kedge/proto";
import { connectRpc, type RpcClientOptions, type RpcMethods } from "@kedge/rpc";

/** All of Kedge's API over shared connections. Every failure is a KedgeError. */
export interface KedgeClient {
  readonly runs: RpcMethods<typeof RunService>;
  readonly pipelines: RpcMethods<typeof PipelineService>;
  readonly components: RpcMethods<typeof ComponentService>;
  readonly models: RpcMethods<typeof ModelService>;
  readonly artifacts: RpcMethods<typeof ArtifactService>;
  readonly deployments: RpcMethods<typeof DeploymentService>;
  readonly nodes: RpcMethods<typeof NodeService>;
  readonly alerts: RpcMethods<typeof AlertService>;
  readonly scheduling: RpcMethods<typeof SchedulingService>;
  readonly events: RpcMethods<typeof EventService>;
  readonly incidents: RpcMethods<typeof IncidentService>;
  readonly flags: RpcMethods<typeof FlagService>;
  readonly repositories: RpcMethods<typeof RepositoryService>;
  readonly secrets: RpcMethods<typeof SecretService>;
  readonly tokens: RpcMethods<typeof TokenService>;
  /** Cancels calls in progress. May be called twice. */
  close(): void;
}

/**
 * Makes a client; the first call connects.
 *
 * @throws KedgeError INVALID_OPTION for a bad address.
 */
export function createKedgeClient(options: RpcClientOptions): KedgeClient {
  const connection = connectRpc(options);
  return {
    runs: connection.client(RunService),
    pipelines: connection.client(PipelineService),
    components: connection.client(ComponentService),
    models: connection.client(ModelService),
    artifacts: connection.client(ArtifactService),
    deployments: connection.client(DeploymentService),
    nodes: connection.client(NodeService),
    alerts: connection.client(AlertService),
    scheduling: connection.client(SchedulingService),
    events: connection.client(EventService),
    incidents: connection.client(IncidentService),
    flags: connection.client(FlagService),
    repositories: connection.client(RepositoryService),
    secrets: connection.client(SecretService),
    tokens: connection.client(TokenService),
    close: () => connection.close(),
  };
}
