import { once } from "node:events";
import { connect, createServer } from "node:net";
import { setImmediate } from "node:timers/promises";
import { type Clock, silentLogger, systemClock } from "@kedge/kernel";
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

function newListener(lines: string[], clock: Clock = systemClock): LogListener {
  return new LogListener({ clock, logger: silentLogger, onLine: (line) => lines.push(line) });
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

it("takes all that came between two reads at once, however it came, so that counts never fall behind", async () => {
  const lines: string[] = [];
  let fire = (): void => {};
  let armed = Promise.withResolvers<void>();
  const clock: Clock = {
    ...systemClock,
    after: (_, callback) => {
      fire = callback;
      armed.resolve();
      return () => {};
    },
  };
  const listener = newListener(lines, clock);
  const { port, secret } = await listener.start(undefined);
  const socket = connect(port, "127.0.0.1").setNoDelay();
  await once(socket, "connect");
  for (let i = 0; i < 300; i++) {
    socket.write(frame(`${secret} ${i}`));
    // A turn of the event loop each, so that lines arrive one by one.
    await setImmediate();
  }
  let reads = 0;
  for (; lines.length < 300 && reads < 20; reads++) {
    await armed.promise;
    armed = Promise.withResolvers<void>();
    fire();
  }
  expect(lines).toEqual(Array.from({ length: 300 }, (_, i) => String(i)));
  expect(reads).toBeLessThan(5);
  socket.end().resume();
  await listener.stop();
});
