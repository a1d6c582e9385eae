export { asksForNoRuns, type ForgeChange, type ForgeEvent, isAddressOf } from "./forge-event.ts";
export { parseForgeEvent } from "./parse-forge-event.ts";
export { formatRepository } from "./repository-format.ts";
export { parseRepository, type RepositoryResult } from "./repository-parse.ts";
export { repositoryJsonSchema } from "./repository-schema.ts";
export { settledSchedule } from "./settled-schedule.ts";
export { startsRun } from "./trigger-fits.ts";
