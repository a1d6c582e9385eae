import { availableParallelism } from "node:os";
import { defineProject } from "vitest/config";

/** Most tests wait for other processes: on two cores, two files at once take two thirds of the time. */
const MAX_WORKERS = Math.max(2, availableParallelism() - 1);

/** What is not as usual about a package. */
interface ProjectOptions {
  /** Its tests change nothing outside of themselves: files share what they import. Default: false. */
  readonly isPure?: boolean;
  /** Its tests share the machine's Docker Engine: one file at a time, after the packages that do not. Default: false. */
  readonly usesDocker?: boolean;
}

/** The vitest project of one package: runs the sources as they are, no build needed. */
export function kedgeProject(name: string, { isPure = false, usesDocker = false }: ProjectOptions = {}) {
  return defineProject({
    resolve: { conditions: ["kedge-source"] },
    ssr: { resolve: { conditions: ["kedge-source"] } },
    test: {
      name,
      environment: "node",
      isolate: !isPure,
      maxWorkers: usesDocker ? 1 : MAX_WORKERS,
      sequence: { groupOrder: usesDocker ? 1 : 0 },
      include: ["src/**/*.test.ts", "**/*.test.ts"],
      exclude: ["**/node_modules/**", "**/dist/**"],
      testTimeout: 60_000,
      hookTimeout: 120_000,
    },
  });
}
