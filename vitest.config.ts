import { availableParallelism } from "node:os";
import { defineConfig } from "vitest/config";

/** Most tests wait for other processes: two files at once are faster even where one would leave no core to the editor. */
const maxWorkers = Math.max(2, availableParallelism() - 1);

export default defineConfig({ test: { projects: ["packages/*", "test"], maxWorkers } });
