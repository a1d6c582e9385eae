import { describe, expect, it } from "vitest";
import { readConfig } from "./config.ts";

const required = ["--model-dir", "/m", "--name", "vad", "--version", "2", "--port", "8080"];

describe("readConfig", () => {
  it("reads flags before the environment before defaults", () => {
    const env = { KEDGE_MODEL_THREADS: "2", KEDGE_MODEL_PORT: "1", KEDGE_MODEL_NODE: "edge-1" };
    expect(readConfig(required, env)).toEqual({
      modelDir: "/m",
      name: "vad",
      version: "2",
      host: "127.0.0.1",
      port: 8080,
      threads: 2,
      node: "edge-1",
      revision: undefined,
      maxRequestBytes: 16_777_216,
      maxConcurrency: 8,
      maxQueue: 64,
      requestTimeoutMs: 30_000,
      graceMs: 10_000,
      logLevel: "info",
    });
  });

  it("takes everything from the environment", () => {
    const env = { KEDGE_MODEL_DIR: "/m", KEDGE_MODEL_NAME: "a", KEDGE_MODEL_VERSION: "1", KEDGE_MODEL_PORT: "0" };
    expect(readConfig([], env)).toMatchObject({ modelDir: "/m", name: "a", version: "1", port: 0 });
  });

  it.each([
    [[], "--model-dir (or KEDGE_MODEL_DIR): expected the folder of the model, got nothing"],
    [
      [...required, "--port", "70000"],
      '--port (or KEDGE_MODEL_PORT): expected a whole number from 0 to 65535, got "70000"',
    ],
    [[...required, "--name", "../x"], "--name (or KEDGE_MODEL_NAME): expected a deployment name"],
    [
      [...required, "--version", "a b"],
      '--version (or KEDGE_MODEL_VERSION): expected 1 to 64 of [A-Za-z0-9._-], got "a b"',
    ],
    [[...required, "--threads", "0"], "expected a whole number from 1 to 256"],
    [[...required, "--log-level", "loud"], "expected debug, info, warn, error, silent"],
    [[...required, "--gpu", "1"], "Unknown option '--gpu'"],
  ])("refuses %j", (args, message) => {
    expect(() => readConfig(args, {})).toThrow(
      expect.objectContaining({ reason: "INVALID_OPTION", message: expect.stringContaining(message) }),
    );
  });
});
