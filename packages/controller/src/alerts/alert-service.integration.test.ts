import type { MessageInitShape } from "@bufbuild/protobuf";
import { toJsonString } from "@bufbuild/protobuf";
import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import { type AlertPolicySchema, AlertService, GetAlertPolicyResponseSchema, Role } from "@kedge/proto";
import { afterEach, beforeEach, expect, test } from "vitest";
import { ControllerHarness } from "../testing/controller-harness.ts";
import { eventually } from "../testing/eventually.ts";
import { type ReceiverServer, startReceiver } from "./testing/receiver-server.ts";
import { sign } from "./webhook-message.ts";

const SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

let harness: ControllerHarness;
let receiver: ReceiverServer;

beforeEach(async () => {
  [harness, receiver] = await Promise.all([ControllerHarness.start(), startReceiver()]);
});
afterEach(() => Promise.all([harness.stop(), receiver.stop()]));

const policyOf = (url = receiver.url, more = {}): MessageInitShape<typeof AlertPolicySchema> => {
  const value = { url, signingSecret: SECRET, headers: { Authorization: "Bearer hunter2" }, ...more };
  return {
    receivers: [{ name: "a", allowPrivate: true, kind: { case: "webhook", value } }],
    routes: [{ receivers: ["a"] }],
  };
};

const as = async (role: Role) => {
  const { token } = await harness.tokens.createToken({ name: Role[role], role });
  return harness.client(AlertService, token);
};

test("a node that falls silent is told, signed, with a graph that only the link's holder sees", async () => {
  const agent = await harness.agent("n1");
  await harness.client(AlertService).setAlertPolicy({ policy: policyOf() });
  agent.beats = false;
  const [first] = await eventually(
    () => {
      harness.clock.skip(1_000);
      return receiver.received;
    },
    ({ length }) => length > 0,
  );
  const { type, data } = JSON.parse(first?.body ?? "");
  expect({ type, kind: data.incident.kind, node: data.incident.subject.nodeId }).toEqual({
    type: "incident.opened",
    kind: "INCIDENT_KIND_NODE",
    node: "n1",
  });
  const { headers, body = "" } = first ?? {};
  const timestamp = Number(headers?.["webhook-timestamp"]);
  expect(headers?.["webhook-signature"]).toBe(sign(SECRET, { id: `${data.incident.id}.a.1`, timestamp, body }));
  expect(headers?.authorization).toBe("Bearer hunter2");

  const png = await fetch(data.graph.png);
  expect(png.headers.get("content-type")).toBe("image/png");
  expect(
    Buffer.from(await png.arrayBuffer())
      .subarray(1, 4)
      .toString(),
  ).toBe("PNG");
  const svg = await fetch(data.graph.svg);
  expect(svg.headers.get("content-security-policy")).toContain("sandbox");
  expect(await svg.text()).toMatch(/^<svg /);
  const bare = new URL(data.graph.png);
  bare.search = "";
  expect((await fetch(bare)).status).toBe(403);
  expect((await fetch(data.graph.png.replace(data.incident.id, "01ke1vj5z8zzzzzzzzzzzzzzzz"))).status).toBe(403);

  agent.beats = true;
  await eventually(
    () => {
      harness.clock.skip(500);
      return receiver.received.map((one) => JSON.parse(one.body).type);
    },
    (types) => types.at(-1) === "incident.resolved",
  );
  const viewer = await as(Role.VIEWER);
  const { deliveries } = await viewer.listDeliveries({ receiver: "a" });
  expect(deliveries).toMatchObject([{ incidentId: data.incident.id, number: 2, told: true, toldResolved: true }]);
  const metrics = await (await fetch(`http://${harness.controller.httpAddress}/metrics`)).text();
  expect(metrics).toContain('kedge_alert_deliveries_total{receiver="a",outcome="delivered"} 2');
});

test("secrets go in and do not come out, and what is set again with them hidden still works", async () => {
  const alerts = harness.client(AlertService);
  const set = await alerts.setAlertPolicy({ policy: policyOf() });
  const got = await (await as(Role.VIEWER)).getAlertPolicy({});
  const shown =
    toJsonString(GetAlertPolicyResponseSchema, got) +
    toJsonString(GetAlertPolicyResponseSchema, { ...got, ...set, $typeName: got.$typeName });
  for (const secret of [SECRET, "hunter2", "/hook"]) expect(shown).not.toContain(secret);
  const [hidden] = got.policy?.receivers ?? [];
  expect(hidden?.kind.value).toMatchObject({
    url: `http://127.0.0.1:${receiver.port}/<redacted>`,
    signingSecret: "<redacted>",
    headers: { Authorization: "<redacted>" },
  });

  await alerts.setAlertPolicy(got.policy === undefined ? {} : { policy: got.policy });
  expect(await alerts.testReceiver({ receiver: "a" })).toMatchObject({ error: "" });
  expect(receiver.received).toMatchObject([{ path: "/hook", headers: { authorization: "Bearer hunter2" } }]);

  // It cannot be drawn out by sending it elsewhere.
  const elsewhere = policyOf("http://127.0.0.1:1/", { signingSecret: "<redacted>" });
  await expect(alerts.setAlertPolicy({ policy: elsewhere })).rejects.toMatchObject({ reason: "INVALID_FIELD" });
  const headers = policyOf("http://127.0.0.1:1/", { signingSecret: "", headers: { Authorization: "<redacted>" } });
  await expect(alerts.setAlertPolicy({ policy: headers })).rejects.toMatchObject({ reason: "INVALID_FIELD" });
});

test("what cannot be a policy is refused by field, without repeating it", async () => {
  const alerts = harness.client(AlertService);
  const refused = (policy: MessageInitShape<typeof AlertPolicySchema>) =>
    alerts.setAlertPolicy({ policy }).then(
      () => "taken",
      (error: { field?: string; message: string }) => `${error.field}: ${error.message}`,
    );
  const slack = (url: string, name = "a") => ({ name, kind: { case: "slack" as const, value: { url } } });
  expect(await refused({ receivers: [slack("http://u:hunter2@a/")] })).toMatch(
    /^policy\.receivers\[0\]\.slack\.url: (?!.*hunter2)/,
  );
  expect(await refused({ receivers: [slack("http://169.254.169.254/")] })).toMatch(/refused/);
  expect(await refused({ receivers: [slack("http://10.0.0.1/")] })).toMatch(/allow-private/);
  expect(await refused({ receivers: [slack("https://a/"), slack("https://b/")] })).toMatch(/two receivers/);
  expect(await refused({ receivers: [{ name: "a" }] })).toMatch(/one of webhook/);
  expect(await refused({ routes: [{ receivers: ["b"] }] })).toMatch(/no receiver is called "b"/);
  expect(await refused(policyOf(receiver.url, { headers: { Host: "b" } }))).toMatch(/headers\.Host/);
  expect(await refused(policyOf(receiver.url, { signingSecret: "hunter2" }))).toMatch(/signing_secret: (?!.*hunter2)/);
  expect(await refused({ externalUrl: "javascript:alert(1)" })).toMatch(/^policy\.external_url/);
});

test("admins set the policy, operators silence and test, and a silence survives a new policy", async () => {
  await harness.client(AlertService).setAlertPolicy({ policy: policyOf() });
  const operator = await as(Role.OPERATOR);
  await expect(operator.setAlertPolicy({ policy: policyOf() })).rejects.toMatchObject({ reason: "PERMISSION_DENIED" });
  const endsAt = timestampFromMs(harness.clock.now() + 60_000);
  const { silence } = await operator.silence({ match: { nodes: ["edge-*"] }, endsAt, comment: "new switch" });
  expect(silence).toMatchObject({ createdBy: "OPERATOR", comment: "new switch" });
  await harness.client(AlertService).setAlertPolicy({ policy: policyOf() });
  expect((await operator.getAlertPolicy({})).policy?.silences.map(({ id }) => id)).toEqual([silence?.id]);
  await operator.unsilence({ id: silence?.id ?? "" });
  await expect(operator.unsilence({ id: silence?.id ?? "" })).rejects.toMatchObject({ reason: "SILENCE_NOT_FOUND" });
  await expect(operator.silence({ endsAt, comment: "" })).rejects.toMatchObject({ field: "comment" });
  await expect(operator.silence({ comment: "x" })).rejects.toMatchObject({ field: "ends_at" });
  const viewer = await as(Role.VIEWER);
  await expect(viewer.silence({ endsAt, comment: "x" })).rejects.toMatchObject({ reason: "PERMISSION_DENIED" });
  await expect(viewer.testReceiver({ receiver: "a" })).rejects.toMatchObject({ reason: "PERMISSION_DENIED" });
  receiver.answer = () => ({ status: 404, body: "no_service" });
  expect(await operator.testReceiver({ receiver: "a" })).toMatchObject({ error: "HTTP 404 Not Found (no_service)" });
  await expect(operator.testReceiver({ receiver: "aa" })).rejects.toMatchObject({ reason: "RECEIVER_NOT_FOUND" });
});
