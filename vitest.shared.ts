import { defineProject } from "vitest/config";

/** The vitest project of one package: runs the sources as they are, no build needed. */
export function kedgeProject(name: string) {
  return defineProject({
    resolve: { conditions: ["kedge-source"] },
    ssr: { resolve: { conditions: ["kedge-source"] } },
    test: {
      name,
      environment: "node",
      include: ["src/**/*.test.ts", "**/*.test.ts"],
      exclude: ["**/node_modules/**", "**/dist/**"],
      testTimeout: 60_000,
      hookTimeout: 120_000,
    },
  });
}
