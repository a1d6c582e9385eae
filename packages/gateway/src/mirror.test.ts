import { createHash } from "node:crypto";
import { type IncomingMessage, request } from "node:http";
import type { ShadowWindow } from "@kedge/proto";
import { afterEach, beforeEach, expect, test } from "vitest";
import type { Gateway } from "./gateway.ts";
import { eventually, service, TestBed } from "./testing/test-bed.ts";

const PATH = "/v2/models/m/infer?a=%20b";
let bed: TestBed;
beforeEach(() => {
  bed = new TestBed();
});
afterEach(() => bed.close());

interface Seen {
  readonly method: string | undefined;
  readonly url: string | undefined;
  readonly headers: IncomingMessage["headers"];
  readonly bodyDigest: string;
}

const digest = (bytes: Buffer | string): string => createHash("sha256").update(bytes).digest("hex");

/** Revision 1 serves; revision 2 gets copies, and answers as `shadow` says. What each got is kept. */
async function mirrored(basisPoints: number, shadow: (seen: number) => "same" | "fail" | "hang" | "other" | "close") {
  const gateway = await bed.gateway();
  const live: Seen[] = [];
  const copies: Seen[] = [];
  const replica = (name: string, revision: number, seen: Seen[]) =>
    bed.replica(name, revision, async (req, res) => {
      const chunks: Buffer[] = [];
      for await (const chunk of req) chunks.push(chunk);
      seen.push({ method: req.method, url: req.url, headers: req.headers, bodyDigest: digest(Buffer.concat(chunks)) });
      const how = revision === 1 ? "same" : shadow(seen.length);
      if (how === "hang") return;
      if (how === "close") return res.destroy();
      res.setHeader("kedge-prediction", how === "other" ? "dog" : "cat");
      res.writeHead(how === "fail" ? 500 : 200).end(name);
    });
  const endpoints = [await replica("live", 1, live), await replica("shadow", 2, copies)];
  const rules = { mirrors: [{ revision: 2, basisPoints }] };
  await gateway.apply([service({ 1: 10_000 }, endpoints, { rules, windowMs: 20 })]);
  return { gateway, live, copies };
}

function post(gateway: Gateway, body: Buffer, headers: Record<string, string> = {}): Promise<string> {
  const [host, port] = gateway.address.split(":");
  return new Promise((resolve, reject) => {
    const req = request({ host, port, path: PATH, method: "POST", headers, agent: false }, async (res) => {
      let text = `${res.statusCode} `;
      for await (const chunk of res) text += chunk;
      resolve(text);
    });
    req.on("error", reject);
    req.end(body);
  });
}

/** A column of all windows, added up. */
function total(of: (shadow: ShadowWindow) => number): number {
  return bed.windows.flatMap(({ shadows }) => shadows).reduce((sum, shadow) => sum + of(shadow), 0);
}

const compared = () => total((shadow) => shadow.compared);

test("a copy is the request as it came, marked, and its answer goes nowhere", async () => {
  const { gateway, live, copies } = await mirrored(10_000, () => "other");
  const body = Buffer.from(Array.from({ length: 9_000 }, (_, i) => i % 256));
  const odd = { "x-odd": 'a; "b" \\ \u00e9', cookie: "a=1", "kedge-shadow": "s0:1|e0:1|9", "content-type": "x/y" };
  expect(await post(gateway, body, odd)).toBe("200 live");
  expect((await bed.get(gateway, PATH)).body).toBe("live");
  await eventually(compared, (count) => count === 2);
  expect(copies).toHaveLength(2);
  const copy = copies.find(({ method }) => method === "POST");
  expect(copy).toMatchObject({ url: PATH, bodyDigest: digest(body) });
  expect(copy?.headers).toMatchObject({
    "x-odd": odd["x-odd"],
    cookie: "a=1",
    "kedge-shadow": "1",
    "content-type": "x/y",
  });
  expect(copy?.headers.host).toBe(live.find(({ method }) => method === "POST")?.headers.host);
  expect(total((shadow) => shadow.differentPredictions)).toBe(2);
  expect(total((shadow) => shadow.differing)).toBe(2);
  expect(gateway.stats()).toMatchObject({ lost: 0, unattributed: 0 });
  const revisions = bed.windows.flatMap((window) => window.revisions);
  expect(revisions.filter(({ revision }) => revision === 2)).toEqual([]);
});

test("a share is copied", async () => {
  const { gateway } = await mirrored(3_000, () => "same");
  expect(await bed.load(gateway, 1_000)).toEqual(new Map([[200, 1_000]]));
  const made = () => total(({ answers, busy }) => (answers?.requests ?? 0) + busy);
  const seen = await eventually(made, (count) => count > 300 - 4 * Math.sqrt(210));
  expect(seen).toBeLessThan(300 + 4 * Math.sqrt(210));
});

test("a shadow that fails, closes or hangs is counted, and no user waits for it or sees it", async () => {
  const { gateway } = await mirrored(10_000, (seen) => (seen % 3 === 0 ? "fail" : seen % 3 === 1 ? "close" : "hang"));
  expect(await bed.load(gateway, 300)).toEqual(new Map([[200, 300]]));
  const [live] = gateway.stats().deployments[0]?.revisions ?? [];
  expect(live).toMatchObject({ revision: 1, errors: 0 });
  await eventually(
    () => total(({ busy }) => busy),
    (busy) => busy > 0,
  );
  await eventually(
    () => total(({ answers }) => answers?.errors ?? 0),
    (errors) => errors > 0,
  );
  expect(bed.windows.flatMap(({ revisions }) => revisions).reduce((sum, each) => sum + each.errors, 0)).toBe(0);
});

test("bodies that HAProxy does not hold whole are passed on and not copied", async () => {
  const { gateway, copies } = await mirrored(10_000, () => "same");
  expect(await post(gateway, Buffer.alloc(200_000, 1))).toBe("200 live");
  expect(await post(gateway, Buffer.alloc(300, 1), { "transfer-encoding": "chunked" })).toBe("200 live");
  await eventually(
    () => total(({ tooLarge }) => tooLarge),
    (count) => count === 2,
  );
  expect(copies).toEqual([]);
});
