import { availableParallelism } from "node:os";
import { defineProject } from "vitest/config";

/** Most tests wait for other processes: on two cores, two files at once take two thirds of the time. */
const MAX_WORKERS = Math.max(2, availableParallelism() - 1);

/** What is not as usual about a package. */
interface ProjectOptions {
  /** Its tests change nothing outside of themselves: files share what they import. Default: false. */
  readonly isPure?: boolean;
}

/** The vitest project of one package: runs the sources as they are, no build needed. */
export function kedgeProject(name: string, { isPure = false }: ProjectOptions = {}) {
  return defineProject({
    resolve: { conditions: ["kedge-source"] },
    ssr: { resolve: { conditions: ["kedge-source"] } },
    test: {
      name,
      environment: "node",
      isolate: !isPure,
      maxWorkers: MAX_WORKERS,
      include: ["src/**/*.test.ts", "**/*.test.ts"],
      exclude: ["**/node_modules/**", "**/dist/**"],
      testTimeout: 60_000,
      hookTimeout: 120_000,
    },
  });
}
