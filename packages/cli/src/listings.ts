import { create } from "@bufbuild/protobuf";
import { collect } from "@kedge/client";
import {
  ListDeploymentsResponseSchema,
  ListFlagsResponseSchema,
  ListModelsResponseSchema,
  ListNodesResponseSchema,
  ListPipelinesResponseSchema,
  ListRepositoriesResponseSchema,
  ListRunsResponseSchema,
  ListSecretsResponseSchema,
  ListTokensResponseSchema,
} from "@kedge/proto";
import { flagTable } from "./output/flag-views.ts";
import { repositoryTable } from "./output/repository-views.ts";
import { secretTable } from "./output/secret-views.ts";
import {
  deploymentTable,
  modelTable,
  nodeTable,
  pipelineTable,
  runTable,
  tokenTable,
  versionTable,
} from "./output/views.ts";
import type { Session } from "./session.ts";

const PAGE = { pageSize: 200 };

/** What narrows a listing. */
export interface ListFilter {
  /** Most rows; default: all, for runs 50. */
  readonly limit?: number;
  readonly pipeline?: string;
}

/** Prints all objects of a kind. `kedge get nodes` and `kedge node list` are the same listing. */
export const LISTINGS = {
  nodes: async ({ client, output }: Session) => {
    const nodes = await collect(
      (pageToken) => client.nodes.listNodes({ ...PAGE, pageToken }),
      (page) => page.nodes,
    );
    const all = create(ListNodesResponseSchema, { nodes });
    output.show(ListNodesResponseSchema, all, (list) => [nodeTable(list.nodes)]);
  },
  runs: async ({ client, output }: Session, { limit = 50, pipeline = "" }: ListFilter = {}) => {
    const pageSize = Math.min(limit, PAGE.pageSize);
    const list = (pageToken: string) => client.runs.listRuns({ pageSize, pageToken, pipeline });
    const all = create(ListRunsResponseSchema, { runs: await collect(list, (page) => page.runs, limit) });
    output.show(ListRunsResponseSchema, all, ({ runs }) => [runTable(runs)]);
  },
  deployments: async ({ client, output }: Session) => {
    const list = (pageToken: string) => client.deployments.listDeployments({ ...PAGE, pageToken });
    const all = create(ListDeploymentsResponseSchema, { deployments: await collect(list, (page) => page.deployments) });
    output.show(ListDeploymentsResponseSchema, all, ({ deployments }) => [deploymentTable(deployments)]);
  },
  models: async ({ client, output }: Session) => {
    const models = await collect(
      (pageToken) => client.models.listModels({ ...PAGE, pageToken }),
      (page) => page.models,
    );
    const all = create(ListModelsResponseSchema, { models });
    output.show(ListModelsResponseSchema, all, (list) => [modelTable(list.models)]);
  },
  pipelines: async ({ client, output }: Session) => {
    const list = (pageToken: string) => client.pipelines.listPipelines({ ...PAGE, pageToken });
    const all = create(ListPipelinesResponseSchema, { pipelines: await collect(list, (page) => page.pipelines) });
    output.show(ListPipelinesResponseSchema, all, ({ pipelines }) => [pipelineTable(pipelines)]);
  },
  flags: async ({ client, output }: Session) => {
    const flags = await collect(
      (pageToken) => client.flags.listFlags({ ...PAGE, pageToken }),
      (page) => page.flags,
    );
    const all = create(ListFlagsResponseSchema, { flags });
    output.show(ListFlagsResponseSchema, all, (list) => [flagTable(list.flags)]);
  },
  secrets: async ({ client, output }: Session) => {
    const secrets = await collect(
      (pageToken) => client.secrets.listSecrets({ ...PAGE, pageToken }),
      (page) => page.secrets,
    );
    const all = create(ListSecretsResponseSchema, { secrets });
    output.show(ListSecretsResponseSchema, all, (list) => [secretTable(list.secrets)]);
  },
  repositories: async ({ client, output }: Session) => {
    const repositories = await collect(
      (pageToken) => client.repositories.listRepositories({ ...PAGE, pageToken }),
      (page) => page.repositories,
    );
    const all = create(ListRepositoriesResponseSchema, { repositories });
    output.show(ListRepositoriesResponseSchema, all, (list) => [repositoryTable(list.repositories)]);
  },
  tokens: async ({ client, output }: Session) => {
    const tokens = await collect(
      (pageToken) => client.tokens.listTokens({ ...PAGE, pageToken }),
      (page) => page.tokens,
    );
    const all = create(ListTokensResponseSchema, { tokens });
    output.show(ListTokensResponseSchema, all, (list) => [tokenTable(list.tokens)]);
  },
} as const;

/** Prints the versions of one model. */
export async function listVersions({ client, output }: Session, model: string): Promise<void> {
  const list = (pageToken: string) => client.models.listModels({ ...PAGE, pageToken, model });
  const all = create(ListModelsResponseSchema, { versions: await collect(list, (page) => page.versions) });
  output.show(ListModelsResponseSchema, all, ({ versions }) => [versionTable(versions)]);
}
