import { type Timestamp, timestampMs } from "@bufbuild/protobuf/wkt";
import { systemClock } from "@kedge/kernel";
import {
  type ApplyRepositoryResponse,
  CommitState,
  Forge,
  type GetRepositoryResponse,
  type HookDelivery,
  HookDeliveryState,
  type PollRepositoryResponse,
  type RedeliverHookResponse,
  type Repository,
} from "@kedge/proto";
import type { View } from "./output.ts";
import type { Table } from "./table.ts";
import { enumName, formatSpan, safeText } from "./text.ts";

const SHORT_ID = 12;

const ago = (at: Timestamp | undefined): string =>
  at === undefined ? "-" : formatSpan(systemClock.now() - timestampMs(at));

/** Repositories, one a row. */
export function repositoryTable(repositories: readonly Repository[]): Table {
  return {
    columns: ["REPOSITORY", "FORGE", "URL", "PIPELINES", "WEBHOOKS", "POLL", "CHANGED"],
    rows: repositories.map((it) => [
      it.name,
      it.forge === Forge.UNSPECIFIED ? "-" : enumName(Forge, it.forge),
      it.url,
      pipelinesText(it),
      it.webhookSecrets.length > 0 && it.forge !== Forge.UNSPECIFIED ? "yes" : "no",
      it.pollSeconds === 0 ? "-" : formatSpan(it.pollSeconds * 1000),
      ago(it.updatedAt),
    ]),
  };
}

/** Webhooks that came in, one a row. */
export function hookDeliveryTable(deliveries: readonly HookDelivery[]): Table {
  return {
    columns: ["REPOSITORY", "DELIVERY", "EVENT", "STATE", "TRIES", "AGE", "RUNS", "WHAT CAME OF IT"],
    rows: deliveries.map((it) => [
      it.repository,
      it.id.slice(0, SHORT_ID),
      it.event,
      enumName(HookDeliveryState, it.state),
      String(it.attempts),
      ago(it.receivedAt),
      it.runIds.join(" ") || "-",
      it.message.split("\n")[0] || "-",
    ]),
  };
}

/** A repository and what is known of it. */
export function repositoryView({ repository, state, hookPath, statuses }: GetRepositoryResponse): View {
  if (repository === undefined) return [];
  const lines = [
    `repository ${repository.name}: ${repository.url}`,
    `pipelines ${pipelinesText(repository)}`,
    hookPath === "" ? "takes no webhooks" : `webhooks come to ${hookPath} on the controller's HTTP port`,
    ...(state?.plannedAt === undefined
      ? []
      : [`pipelines were read ${ago(state.plannedAt)} ago${commitText(state.plannedCommit)}`]),
    ...(state?.polledAt === undefined ? [] : [`heads were looked for ${ago(state.polledAt)} ago`]),
    ...[state?.planError, state?.pollError].flatMap((error) => (error ? [`error: ${error}`] : [])),
  ].map(safeText);
  const schedules = state?.schedules ?? [];
  return [
    ...lines,
    ...(schedules.length === 0 ? [] : ["", scheduleTable(schedules)]),
    ...(statuses.length === 0 ? [] : ["", statusTable(statuses)]),
  ];
}

function scheduleTable(schedules: NonNullable<GetRepositoryResponse["state"]>["schedules"]): Table {
  return {
    columns: ["PIPELINE", "SCHEDULE", "TIME ZONE", "NEXT IN"],
    rows: schedules.map(({ pipeline, trigger, next }) => [
      pipeline,
      trigger?.schedule ?? "-",
      trigger?.timeZone || "UTC",
      next === undefined ? "never" : formatSpan(timestampMs(next) - systemClock.now()),
    ]),
  };
}

function statusTable(statuses: GetRepositoryResponse["statuses"]): Table {
  return {
    columns: ["COMMIT", "CONTEXT", "STATE", "THE FORGE SHOWS", "TRIES", "ERROR"],
    rows: statuses.map((it) => [
      it.commit.slice(0, SHORT_ID),
      it.context,
      enumName(CommitState, it.state),
      it.told === CommitState.UNSPECIFIED ? "nothing" : enumName(CommitState, it.told),
      it.givenUp ? "given up" : String(it.attempts),
      it.error || "-",
    ]),
  };
}

/** What a repository was made. */
export function appliedLines({ repository, hookPath }: ApplyRepositoryResponse): View {
  if (repository === undefined) return [];
  const hooks =
    hookPath === "" ? "it takes no webhooks" : `let its forge send webhooks, as JSON, to ${hookPath} on the HTTP port`;
  return [safeText(`repository ${repository.name}, generation ${repository.generation}`), safeText(hooks)];
}

/** What a look for new heads found. */
export function polledLines({ state, runIds }: PollRepositoryResponse): View {
  if (state === undefined) return [];
  if (state.pollError !== "") return [safeText(`error: ${state.pollError}`)];
  return [`${Object.keys(state.heads).length} branches`, ...runIds.map((id) => `started run ${id}`)].map(safeText);
}

/** A delivery that is processed again. */
export function deliveryView({ delivery }: RedeliverHookResponse): View {
  return delivery === undefined ? [] : [hookDeliveryTable([delivery])];
}

function pipelinesText({ files, pipelines }: Repository): string {
  return [...files, ...pipelines].join(" ") || "kedge.yaml";
}

function commitText(commit: string): string {
  return commit === "" ? "" : ` at ${commit.slice(0, SHORT_ID)}`;
}
