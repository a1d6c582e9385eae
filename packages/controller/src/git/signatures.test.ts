import { createHmac } from "node:crypto";
import { Forge } from "@kedge/proto";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { checkHook } from "./signatures.ts";

const { GITHUB, GITLAB, GITEA } = Forge;
type Headers = Readonly<Record<string, string>>;

const NOW = 1_614_265_330_000;

function check(forge: Forge, headers: Headers, body: string, secrets: readonly string[], nowMs = NOW) {
  return checkHook(forge, { header: (name) => headers[name], body: Buffer.from(body) }, { secrets, nowMs });
}

const github = (signature: string): Headers => ({
  "x-hub-signature-256": signature,
  "x-github-event": "push",
  "x-github-delivery": "d-1",
});

describe("GitHub", () => {
  it.each([
    ["It's a Secret to Everybody", "Hello, World!", "757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17"],
    ["mysecret", '{"foo":"bar"}', "4864d2759938a15468b5df9ade20bf161da9b4f737ea61794142f3484236bda3"],
  ])("signs with %s", (secret, body, digest) => {
    expect(check(GITHUB, github(`sha256=${digest}`), body, [secret])).toMatchObject({
      kind: "genuine",
      event: "push",
      forgeId: "d-1",
    });
    expect(check(GITHUB, github(`sha256=${digest}`), body, ["old", secret]).kind).toBe("genuine");
    for (const bad of [digest, `sha1=${digest}`, `sha256=${digest.slice(1)}`, `sha256=${"0".repeat(64)}`, ""]) {
      expect(check(GITHUB, github(bad), body, [secret]).kind).toBe("refused");
    }
    expect(check(GITHUB, github(`sha256=${digest}`), `${body} `, [secret]).kind).toBe("refused");
    expect(check(GITHUB, github(`sha256=${digest}`), body, [`${secret}x`]).kind).toBe("refused");
  });

  it("does not take SHA-1, even where it fits", () => {
    const headers = { "x-hub-signature": "sha1=d03207e4b030cf234e3447bac4d93add4c6643d8", "x-github-event": "push" };
    expect(check(GITHUB, headers, '{"foo":"bar"}', ["mysecret"]).kind).toBe("refused");
  });

  it("takes nothing where there is no secret, even if it is signed with none", () => {
    const digest = createHmac("sha256", "").update("x").digest("hex");
    expect(check(GITHUB, github(`sha256=${digest}`), "x", [""]).kind).toBe("refused");
    expect(check(GITHUB, github(`sha256=${digest}`), "x", []).kind).toBe("refused");
  });

  it("knows a delivery by what is signed, not by the id in a header", () => {
    const digest = createHmac("sha256", "s").update("x").digest("hex");
    const [a, b] = ["d-1", "d-2"].map((id) =>
      check(GITHUB, { ...github(`sha256=${digest}`), "x-github-delivery": id }, "x", ["s"]),
    );
    expect(a?.kind === "genuine" && b?.kind === "genuine" && a.id === b.id).toBe(true);
  });
});

describe("GitLab", () => {
  const secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
  const body = '{"test": 2432232314}';
  const signed = {
    "x-gitlab-event": "Push Hook",
    "webhook-id": "msg_p5jXN8AQM9LWM0D4loKWxJek",
    "webhook-timestamp": "1614265330",
    "webhook-signature": "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
  };

  it("signs as Standard Webhooks says", () => {
    expect(check(GITLAB, signed, body, [secret])).toMatchObject({ kind: "genuine", forgeId: signed["webhook-id"] });
    const two = { ...signed, "webhook-signature": `v1,bad ${signed["webhook-signature"]}` };
    expect(check(GITLAB, two, body, [secret]).kind).toBe("genuine");
  });

  it("may be five minutes off", () => {
    expect(check(GITLAB, signed, body, [secret], NOW + 300_000).kind).toBe("genuine");
    expect(check(GITLAB, signed, body, [secret], NOW + 301_000).kind).toBe("refused");
    expect(check(GITLAB, signed, body, [secret], NOW - 301_000).kind).toBe("refused");
  });

  it("signs id and time as well", () => {
    expect(check(GITLAB, { ...signed, "webhook-id": "msg_x" }, body, [secret]).kind).toBe("refused");
    expect(check(GITLAB, { ...signed, "webhook-timestamp": "1614265331" }, body, [secret]).kind).toBe("refused");
  });

  it("has no bad signature made good by a good token", () => {
    const both = { ...signed, "webhook-signature": "v1,bad", "x-gitlab-token": secret };
    expect(check(GITLAB, both, body, [secret]).kind).toBe("refused");
  });

  it("sends its older token as it is", () => {
    const headers = { "x-gitlab-event": "Push Hook", "x-gitlab-token": "s", "idempotency-key": "k" };
    expect(check(GITLAB, headers, body, ["s"])).toMatchObject({ kind: "genuine", forgeId: "k" });
    expect(check(GITLAB, { ...headers, "x-gitlab-token": "S" }, body, ["s"]).kind).toBe("refused");
  });
});

describe("Gitea and Forgejo", () => {
  const digest = createHmac("sha256", "s").update("x").digest("hex");
  it("sign with plain hex", () => {
    const headers = { "x-gitea-event": "push", "x-gitea-delivery": "d", "x-gitea-signature": digest };
    expect(check(GITEA, headers, "x", ["s"])).toMatchObject({ kind: "genuine", event: "push", forgeId: "d" });
    const bad = { ...headers, "x-forgejo-signature": "0".repeat(64) };
    expect(check(GITEA, bad, "x", ["s"]).kind).toBe("refused");
    const upper = { ...headers, "x-gitea-signature": digest.toUpperCase() };
    expect(check(GITEA, upper, "x", ["s"]).kind).toBe("refused");
  });
});

it("refuses whatever is not signed, without a throw", () => {
  const names = ["x-hub-signature-256", "x-gitlab-token", "webhook-signature", "webhook-id", "webhook-timestamp"];
  const headers = fc.dictionary(fc.constantFrom(...names, "x-gitea-signature", "x-github-event"), fc.string());
  fc.assert(
    fc.property(fc.constantFrom(GITHUB, GITLAB, GITEA), headers, fc.string(), (forge, some, body) => {
      expect(check(forge, some, body, ["a secret that nobody guesses", "whsec_AAAA"]).kind).toBe("refused");
    }),
    { numRuns: 500 },
  );
});
