import { execFileSync } from "node:child_process";
import { fileURLToPath } from "node:url";
import { describe, expect, it } from "vitest";
import { MODEL_SERVER_ENTRY } from "./entry.ts";

describe("index", () => {
  it("loads neither onnxruntime nor a web server for those who only start the program", () => {
    const index = fileURLToPath(new URL("./index.ts", import.meta.url));
    const script = `await import(${JSON.stringify(index)});
      const { createRequire } = await import("node:module");
      console.log(Object.keys(createRequire(${JSON.stringify(index)}).cache).filter((p) => /onnxruntime|fastify/.test(p)).length);`;
    const printed = execFileSync(process.execPath, ["-C", "kedge-source", "--input-type=module", "-e", script]);
    expect(printed.toString().trim()).toBe("0");
  });

  it("names the program beside itself", () => {
    expect(MODEL_SERVER_ENTRY).toBe(fileURLToPath(new URL("./main.ts", import.meta.url)));
  });
});
