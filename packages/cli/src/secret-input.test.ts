import { expect, test } from "vitest";
import { readValue, type ValueSource } from "./secret-input.ts";

/** A terminal, or a pipe, that gives these parts. */
function source(isTTY: boolean, ...parts: (string | Uint8Array)[]): ValueSource & { readonly modes: boolean[] } {
  const modes: boolean[] = [];
  return {
    isTTY,
    modes,
    setRawMode: (on) => modes.push(on),
    async *[Symbol.asyncIterator]() {
      yield* parts;
    },
  };
}

async function read(from: ValueSource): Promise<{ text: string; shown: string }> {
  const shown: string[] = [];
  const value = await readValue(from, "Value: ", { write: (part) => shown.push(part) });
  return { text: Buffer.from(value).toString("utf8"), shown: shown.join("") };
}

test("what is piped is the value, but for one line end", async () => {
  expect((await read(source(false, "s3cr", "et\n"))).text).toBe("s3cret");
  expect((await read(source(false, "s3cret\r\n"))).text).toBe("s3cret");
  expect((await read(source(false, "two\nlines\n\n"))).text).toBe("two\nlines\n");
  expect((await read(source(false, "none"))).text).toBe("none");
  expect((await read(source(false))).text).toBe("");
  const bytes = Uint8Array.from([0xff, 0x00, 0x0d]);
  expect(Buffer.from(await readValue(source(false, bytes), "", { write: () => {} }))).toEqual(Buffer.from(bytes));
});

test("what is typed is not shown, and can be corrected a character at a time", async () => {
  const keys = source(true, "s3ü", "x", "\u007f\u007f", "crét", "\r", "the rest");
  const { text, shown } = await read(keys);
  expect([text, shown, keys.modes]).toEqual(["s3crét", "Value: \n", [true, false]]);
  expect((await read(source(true, "wrong\u0015right\n"))).text).toBe("right");
  expect((await read(source(true, "\b\babc\n"))).text).toBe("abc");
});

test("the terminal is given back when somebody thinks better of it", async () => {
  for (const key of ["abc\u0003", "\u0004"]) {
    const keys = source(true, key);
    await expect(read(keys)).rejects.toMatchObject({ exit: "interrupted" });
    expect(keys.modes).toEqual([true, false]);
  }
});
