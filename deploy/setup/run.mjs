// Starting other programs.
import { spawn } from "node:child_process";
import { dirname, resolve } from "node:path";
import { fileURLToPath } from "node:url";

/** The project's root folder. */
export const root = resolve(dirname(fileURLToPath(import.meta.url)), "../..");

/** Environment in which `node` and every package's program are the pinned ones. */
export function toolEnv(extra = {}) {
  return {
    ...process.env,
    PATH: `${root}/node_modules/.bin:/usr/sbin:/sbin:${process.env.PATH}`,
    TURBO_TELEMETRY_DISABLED: "1",
    DO_NOT_TRACK: "1",
    ...extra,
  };
}

/** Runs a program with our terminal; resolves to its exit code. */
export function run(file, args, options = {}) {
  return new Promise((done, fail) => {
    const child = spawn(file, args, { cwd: root, stdio: "inherit", env: toolEnv(), ...options });
    child.on("error", fail);
    child.on("exit", (code, signal) => done(signal === null ? (code ?? 1) : 1));
  });
}

/** Runs the pinned Node. */
export function runNode(args, options = {}) {
  return run(`${root}/node_modules/.bin/node`, args, options);
}

/** Runs a program quietly; on failure throws with all it printed. */
export function runQuiet(file, args, options = {}) {
  return new Promise((done, fail) => {
    const child = spawn(file, args, { cwd: root, stdio: ["ignore", "pipe", "pipe"], env: toolEnv(), ...options });
    const output = [];
    child.stdout.on("data", (chunk) => output.push(chunk));
    child.stderr.on("data", (chunk) => output.push(chunk));
    child.on("error", fail);
    child.on("close", (code) => {
      const text = Buffer.concat(output).toString();
      if (code === 0) done(text);
      else fail(new Error(`${file} ${args.join(" ")} failed with exit code ${code}:\n${text.trim()}`));
    });
  });
}

/** Says one step of the set-up; nothing is said of steps that had nothing to do. */
export function say(text) {
  console.error(`set-up: ${text}`);
}
