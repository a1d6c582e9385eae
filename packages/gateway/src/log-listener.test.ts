import { connect, createServer } from "node:net";
import { silentLogger, systemClock } from "@kedge/kernel";
import { expect, it } from "vitest";
import { LogListener } from "./log-listener.ts";

const frame = (line: string): string => `${line.length} ${line}`;

/** Sends bytes, and resolves when the listener has closed the connection. */
function send(port: number, bytes: string): Promise<void> {
  return new Promise((resolve, reject) => {
    const socket = connect(port, "127.0.0.1", () => socket.end(bytes));
    socket.on("close", () => resolve());
    socket.on("error", reject);
    socket.resume();
  });
}

function newListener(lines: string[]): LogListener {
  return new LogListener({ clock: systemClock, logger: silentLogger, onLine: (line) => lines.push(line) });
}

it("takes lines that carry the secret and no others", async () => {
  const lines: string[] = [];
  const listener = newListener(lines);
  const { port, secret } = await listener.start(undefined);
  await send(port, frame(`${secret} mine`));
  await send(port, frame("0123456789abcdef forged"));
  await send(port, "no frame at all");
  await listener.stop();
  expect(lines).toEqual(["mine"]);
});

it("listens where it did before, and elsewhere under another secret when somebody took the port", async () => {
  const first = newListener([]);
  const sink = await first.start(undefined);
  await first.stop();
  const second = newListener([]);
  expect(await second.start(sink)).toEqual(sink);
  await second.stop();
  const squatter = createServer();
  await new Promise<void>((resolve) => squatter.listen(sink.port, "127.0.0.1", resolve));
  const third = newListener([]);
  const moved = await third.start(sink);
  expect(moved.port).not.toBe(sink.port);
  expect(moved.secret).not.toBe(sink.secret);
  await third.stop();
  await new Promise<void>((resolve) => squatter.close(() => resolve()));
});
