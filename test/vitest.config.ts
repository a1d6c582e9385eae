import { defineProject, mergeConfig } from "vitest/config";
import { kedgeProject } from "../vitest.shared.ts";

/** After the packages' own tests, and one file at a time: every file starts processes that want the machine. */
export default mergeConfig(
  kedgeProject("test"),
  defineProject({
    test: {
      fileParallelism: false,
      testTimeout: 120_000,
      sequence: { groupOrder: 2 },
    },
  }),
);
