import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { demultiplex } from "./docker-logs.ts";

const frame = fc.record({ stream: fc.constantFrom("stdout" as const, "stderr" as const), data: fc.uint8Array() });

function encode({ stream, data }: { stream: "stdout" | "stderr"; data: Uint8Array }): Buffer {
  const header = Buffer.from([stream === "stdout" ? 1 : 2, 0, 0, 0, 0, 0, 0, 0]);
  header.writeUInt32BE(data.length, 4);
  return Buffer.concat([header, data]);
}

async function* cut(bytes: Buffer, size: number): AsyncGenerator<Buffer> {
  for (let at = 0; at < bytes.length; at += size) yield bytes.subarray(at, at + size);
}

describe("demultiplex", () => {
  it("gives each stream's bytes from the offset on, however the network cut them", async () => {
    const property = fc.asyncProperty(
      fc.array(frame),
      fc.integer({ min: 1, max: 40 }),
      fc.record({ stdout: fc.nat(30), stderr: fc.nat(30) }),
      async (frames, size, from) => {
        const whole = { stdout: Buffer.alloc(0), stderr: Buffer.alloc(0) };
        for (const { stream, data } of frames) whole[stream] = Buffer.concat([whole[stream], data]);
        const seen = { stdout: Buffer.alloc(0), stderr: Buffer.alloc(0) };
        for await (const chunk of demultiplex(cut(Buffer.concat(frames.map(encode)), size), from)) {
          seen[chunk.stream] = Buffer.concat([seen[chunk.stream], chunk.data]);
          expect(chunk.offset[chunk.stream]).toBe(from[chunk.stream] + seen[chunk.stream].length);
        }
        expect(seen.stdout).toEqual(whole.stdout.subarray(from.stdout));
        expect(seen.stderr).toEqual(whole.stderr.subarray(from.stderr));
      },
    );
    await fc.assert(property);
  });
});
