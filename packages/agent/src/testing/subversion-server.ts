import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { writeFile } from "node:fs/promises";
import { connect } from "node:net";
import { join } from "node:path";
import { freePort } from "@kedge/kernel";
import { waitFor } from "./agent-fixture.ts";

/** One Subversion repository over the network, for those who log in. */
export class SubversionServer {
  readonly url: string;
  readonly #process: ChildProcess;

  private constructor(url: string, process: ChildProcess) {
    this.url = url;
    this.#process = process;
  }

  /** @param login "user:password". */
  static async start(folder: string, login: string): Promise<SubversionServer> {
    await writeFile(join(folder, "conf/svnserve.conf"), "[general]\nanon-access = none\npassword-db = passwd\n");
    await writeFile(join(folder, "conf/passwd"), `[users]\n${login.replace(":", " = ")}\n`);
    const port = await freePort();
    const where = ["--listen-host", "127.0.0.1", "--listen-port", String(port), "--root", folder];
    const process = spawn("svnserve", ["--daemon", "--foreground", ...where], { stdio: "ignore" });
    await waitFor(
      async () => ((await answers(port)) ? true : undefined),
      () => "svnserve does not answer",
    );
    return new SubversionServer(`svn://127.0.0.1:${port}`, process);
  }

  async stop(): Promise<void> {
    const ended = once(this.#process, "exit");
    this.#process.kill();
    await ended;
  }
}

function answers(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, "127.0.0.1", () => {
      socket.destroy();
      resolve(true);
    }).once("error", () => resolve(false));
  });
}
