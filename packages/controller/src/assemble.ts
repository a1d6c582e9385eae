import type { Authority, Bus } from "@kedge/bus";
import { isTaskEnded } from "@kedge/domain";
import {
  AlertService,
  ArtifactService,
  ComponentService,
  DeploymentService,
  EventService,
  FlagService,
  IncidentService,
  type LocalDecision,
  ModelService,
  NodeService,
  PipelineService,
  RepositoryService,
  RunService,
  SchedulingService,
  SecretService,
  type TaskRefFull,
  TokenService,
} from "@kedge/proto";
import { type BoundService, bindService, type MethodName, type Principal } from "@kedge/rpc";
import type { FastifyInstance } from "fastify";
import { AlertTerm } from "./alerts/alert-term.ts";
import { graphRoutes } from "./alerts/graph-routes.ts";
import { createAuthenticator } from "./auth/authenticator.ts";
import { TokenRegistry } from "./auth/tokens.ts";
import type { ControllerConfig } from "./config.ts";
import { DeploymentWriter } from "./deployments/apply.ts";
import { DeploymentReconciler } from "./deployments/deployment-reconciler.ts";
import { RolloutJudges } from "./deployments/judges.ts";
import { Rebalancer } from "./deployments/rebalance.ts";
import { RouteWriter } from "./deployments/route-writer.ts";
import { EventRecorder } from "./events/recorder.ts";
import { Artifacts } from "./files/artifacts.ts";
import { Caches } from "./files/caches.ts";
import { ChunkCollector } from "./files/chunk-collector.ts";
import { ChunkHolds } from "./files/chunk-holds.ts";
import { FilesJanitor } from "./files/files-janitor.ts";
import { FlagPublisher } from "./flags/flag-publisher.ts";
import { FlagWriter } from "./flags/flag-writer.ts";
import { GitTerm } from "./git/git-term.ts";
import { hookRoutes } from "./git/hook-routes.ts";
import { Inbox } from "./inbox.ts";
import { IncidentWatch } from "./incidents/incident-watch.ts";
import { ControllerLoops } from "./loops.ts";
import { type ControllerMetrics, createMetrics } from "./metrics.ts";
import { ModelRegistry } from "./models/registry.ts";
import { HealthKeeper } from "./node-health/health-keeper.ts";
import { AssignmentWriter } from "./nodes/assignment-writer.ts";
import { CapacityBook } from "./nodes/capacity-book.ts";
import { NodeWriter } from "./nodes/node-writer.ts";
import { NodeRegistry } from "./nodes/registry.ts";
import { CallJobs } from "./runs/call-jobs.ts";
import { DeployJobs } from "./runs/deploy-jobs.ts";
import { Dispatcher } from "./runs/dispatch.ts";
import { TaskInbox } from "./runs/inbox.ts";
import { NotifyJobs } from "./runs/notify-jobs.ts";
import { RunGroups } from "./runs/run-groups.ts";
import { RunReconciler } from "./runs/run-reconciler.ts";
import { Submissions } from "./runs/submission.ts";
import { currentTask } from "./runs/task-events.ts";
import { recordHolds } from "./scheduling/hold-events.ts";
import { Scheduling } from "./scheduling/scheduling.ts";
import { JobSecrets } from "./secrets/job-secrets.ts";
import { KeyFile } from "./secrets/key-file.ts";
import { SecretVault } from "./secrets/secret-vault.ts";
import { createAlertService } from "./services/alert-service.ts";
import { createArtifactService } from "./services/artifact-service.ts";
import { createComponentService } from "./services/component-service.ts";
import { createDeploymentService } from "./services/deployment-service.ts";
import { createEventService } from "./services/event-service.ts";
import { createFlagService } from "./services/flag-service.ts";
import { createIncidentService } from "./services/incident-service.ts";
import { createModelService } from "./services/model-service.ts";
import { createNodeService } from "./services/node-service.ts";
import { createPipelineService } from "./services/pipeline-service.ts";
import { createRepositoryService } from "./services/repository-service.ts";
import { createRunService } from "./services/run-service.ts";
import { RunSubmitter } from "./services/run-submitter.ts";
import { createSchedulingService } from "./services/scheduling-service.ts";
import { createSecretService } from "./services/secret-service.ts";
import { createTokenService } from "./services/token-service.ts";
import { openStores, type Stores } from "./stores.ts";
import { CONTROLLER_VERSION } from "./version.ts";

/** What a controller is put together from. */
export interface AssembleOptions {
  readonly bus: Bus;
  readonly admin: Bus;
  readonly authority: Authority;
  readonly config: ControllerConfig;
  /** host:port of NATS that nodes are told. */
  readonly natsServer: string;
  /** Tells whether this controller holds the lease. */
  readonly isLeader: () => boolean;
}

/** The parts of a controller, wired, nothing started. */
export interface Assembly {
  readonly stores: Stores;
  readonly tokens: TokenRegistry;
  readonly authority: Authority;
  readonly services: readonly BoundService[];
  readonly authenticate: (token: string | undefined, call: MethodName) => Principal;
  readonly loops: ControllerLoops;
  readonly metrics: ControllerMetrics;
  /** What the HTTP server answers besides metrics and health. */
  readonly httpRoutes: (server: FastifyInstance) => void;
  /** Tells the parts the addresses, host:port, that agents and people's browsers reach us at, once the ports are known. */
  setAddresses(addresses: { readonly rpc: string; readonly http: string }): void;
}

/** Wires a controller. The one place that knows every part. */
export function assemble({ bus, admin, authority, config, natsServer, isLeader }: AssembleOptions): Assembly {
  const { clock, logger } = config;
  const signer = authority.signer;
  let address = `${config.advertise}:${config.listen.port}`;
  let httpAddress = `${config.advertise}:${config.httpListen.port}`;
  const stores = openStores(bus, signer);
  const events = new EventRecorder(bus, clock, logger);
  const tokens = new TokenRegistry(stores, clock);
  const registry = new NodeRegistry(stores, clock);
  const book = new CapacityBook(stores, registry);
  const models = new ModelRegistry(stores, clock, events);
  const assignments = new AssignmentWriter(stores);
  const nodeWriter = new NodeWriter({ bus, admin, stores, authority, tokens, registry, events, clock });
  const deployments = new DeploymentWriter({ stores, models, clock, events });
  const incidents = new IncidentWatch({ stores, registry, events, clock });
  const judges = new RolloutJudges(clock, (deployment, window) => incidents.window(deployment, window));
  const inbox = new TaskInbox();
  const decisions = new Inbox<LocalDecision>();
  const deployJobs = new DeployJobs(stores, deployments);
  const vault = new SecretVault({ stores, keyFile: new KeyFile(config.secretKeyFile), clock });
  const secrets = new JobSecrets({ stores, registry, vault });
  const artifacts = new Artifacts({ stores, clock });
  const caches = new Caches({ stores, clock });
  const holds = new ChunkHolds(clock);
  const dispatcher = new Dispatcher({ bus, signer, clock, controllerAddress: () => address, secrets, artifacts });
  const shared = { stores, book, registry, models, assignments, events, clock };
  let metrics: ControllerMetrics | undefined;
  const scheduling = new Scheduling({
    stores,
    book,
    clock,
    onPass: (report) => {
      metrics?.pass(report);
      recordHolds(events, report.held);
    },
  });
  const runReconciler = new RunReconciler({
    ...shared,
    artifacts,
    dispatcher,
    deployJobs,
    callJobs: new CallJobs({ stores, submissions: () => submissions, touch: (runId) => loops.touchRun(runId) }),
    notifyJobs: new NotifyJobs({ stores, clock, touch: (runId) => loops.touchRun(runId) }),
    inbox,
    scheduling,
    groups: new RunGroups(stores.runs, (runId) => loops.touchRun(runId)),
    isLeader,
    metrics: () => metrics,
  });
  const submissions = new Submissions({
    ...{ stores, vault, clock },
    store: (run) => runReconciler.submit(run),
    touch: (runId) => loops.touchRun(runId),
  });
  const submitter = new RunSubmitter({ stores, submissions, clock });
  const health = new HealthKeeper({
    ...shared,
    nodeWriter,
    evict: (nodeId, by) => scheduling.evict(nodeId, by),
  });
  const deploymentReconciler = new DeploymentReconciler({
    ...shared,
    misfits: (name, revision) => health.misfits(name, revision),
    routes: new RouteWriter(stores),
    judges,
    decisions,
    blame: (deployment) => incidents.blame(deployment),
    scheduling,
    onRolloutEnd: ({ state }) => metrics?.rolloutEnd(state),
  });
  const rebalancer = new Rebalancer({
    stores,
    book,
    assignments,
    writer: deployments,
    queue: () => scheduling.queue,
  });
  const alerts = { stores, clock, logger, events, httpAddress: () => httpAddress };
  const git = { bus, stores, events, clock, logger, secret: (name: string) => vault.text(name) };
  const loops = new ControllerLoops({
    ...shared,
    bus,
    nodeWriter,
    runReconciler,
    deploymentReconciler,
    health,
    judges,
    incidents,
    newAlertTerm: () => new AlertTerm({ ...alerts, onOutcome: (...outcome) => metrics?.alert(...outcome) }),
    inbox,
    decisions,
    scheduling,
    flags: new FlagPublisher({ bus, stores }),
    vault,
    newFilesJanitor: () =>
      new FilesJanitor({
        artifacts,
        caches,
        clock,
        logger,
        collector: new ChunkCollector({ bus, stores, holds, clock, logger }),
      }),
    newGitTerm: () =>
      new GitTerm({
        ...git,
        dataDir: config.dataDir,
        submit: (...submission) => submitter.submit(...submission),
        onStatus: (...outcome) => metrics?.commitStatus(...outcome),
      }),
    metrics: () => metrics,
    logger,
  });
  metrics = createMetrics({
    stores,
    registry,
    queueDepths: () => loops.queueDepths(),
    queue: () => scheduling.queue,
  });
  const authenticate = createAuthenticator({
    tokens,
    controllerKey: signer.publicKey,
    isTaskLive: (ref) => isTaskLive(stores, ref),
  });
  const nodeOptions = { stores, writer: nodeWriter, registry, book, tokens, authority, events, clock, health };
  return {
    stores,
    tokens,
    authority,
    authenticate,
    loops,
    metrics,
    httpRoutes: (server) => {
      graphRoutes(stores, clock)(server);
      hookRoutes({ ...git, onOutcome: (outcome) => metrics?.hook(outcome) })(server);
    },
    setAddresses: ({ rpc, http }) => {
      address = rpc;
      httpAddress = http;
    },
    services: [
      bindService(
        RunService,
        createRunService({
          bus,
          stores,
          scheduling,
          clock,
          vault,
          events,
          submitter,
          models,
          runs: runReconciler,
          touch: (runId) => loops.touchRun(runId),
        }),
      ),
      bindService(ComponentService, createComponentService({ stores, events, clock })),
      bindService(PipelineService, createPipelineService({ stores, scheduling, models, clock })),
      bindService(ModelService, createModelService({ bus, stores, models, signer, holds })),
      bindService(DeploymentService, createDeploymentService({ ...shared, writer: deployments })),
      bindService(
        NodeService,
        createNodeService({ ...nodeOptions, controllerAddress: () => address, natsServers: () => [natsServer] }),
      ),
      bindService(EventService, createEventService(bus)),
      bindService(
        FlagService,
        createFlagService({ bus, stores, writer: new FlagWriter({ bus, stores, events, clock }) }),
      ),
      bindService(IncidentService, createIncidentService({ stores, events, clock })),
      bindService(AlertService, createAlertService(alerts)),
      bindService(
        RepositoryService,
        createRepositoryService({ stores, events, clock, poll: (name) => loops.pollRepository(name) }),
      ),
      bindService(SchedulingService, createSchedulingService({ stores, scheduling, rebalancer, clock })),
      bindService(ArtifactService, createArtifactService({ bus, stores, artifacts, caches, holds, isLeader })),
      bindService(SecretService, createSecretService({ stores, vault, events })),
      bindService(TokenService, createTokenService(stores, tokens, CONTROLLER_VERSION)),
    ],
  };
}

function isTaskLive(stores: Stores, ref: TaskRefFull): boolean {
  const job = stores.runs.get(ref.runId)?.value.jobs.find((candidate) => candidate.spec?.name === ref.job);
  const task = job === undefined ? undefined : currentTask(job);
  return task?.id === ref.taskId && task.nodeId === ref.nodeId && !isTaskEnded(task.state);
}
