import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { create } from "@bufbuild/protobuf";
import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import { systemClock } from "@kedge/kernel";
import { parseAlertPolicy } from "@kedge/pipeline";
import { AlertDeliverySchema, AlertDeliveryState, AlertNotice, AlertSilenceSchema, IncidentKind } from "@kedge/proto";
import { afterEach, beforeEach, expect, test } from "vitest";
import { deliveryTable, silenceTable } from "./output/alert-views.ts";
import { kedge as runLine } from "./testing/command-line.ts";

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "kedge-alert-"));
});
afterEach(() => rm(folder, { recursive: true, force: true }));

const kedge = (...args: string[]) => runLine([...args, "--address", "127.0.0.1:1"], { folder });

test("the file in the help is a policy", async () => {
  const { stdout } = await runLine(["help", "alert", "policy", "set"], { folder });
  const [, file = ""] = /^( {2}receivers:[\s\S]*)/m.exec(stdout) ?? [];
  const { policy, diagnostics } = parseAlertPolicy(file.replaceAll(/^ {2}/gm, ""));
  expect(diagnostics).toEqual([]);
  expect(policy?.receivers.map(({ name, kind }) => [name, kind.case])).toEqual([
    ["on-call", "slack"],
    ["audit", "webhook"],
    ["prometheus", "alertmanager"],
  ]);
});

test("a wrong policy is shown by place, before anything is sent", async () => {
  const file = join(folder, "alerts.yaml");
  await writeFile(file, "receivers:\n  a: { slack: { url: ftp://a } }\n");
  const { code, stderr } = await kedge("alert", "policy", "set", file);
  expect(code).toBe(2);
  expect(stderr).toMatch(/alerts\.yaml:2:22: error: must be an http or https address/);
});

test.each([
  [["--comment", "x"], "--for"],
  [["--for", "2h"], "--comment"],
  [["--for", "2h", "--comment", "x"], "say what to silence"],
  [["--for", "2h", "--comment", "x", "--all", "--node", "a"], "say what to silence"],
  [["--for", "soon", "--comment", "x", "--all"], "Expected a span"],
  [["--for", "2h", "--comment", "x", "--severity", "fatal"], "Allowed choices are info, warning, critical"],
])("a silence says what, how long and why: %j", async (options, message) => {
  expect(await kedge("alert", "silence", ...options)).toMatchObject({
    code: 2,
    stderr: expect.stringContaining(message),
  });
});

test("tables say what is still tried and what is quiet", () => {
  const soon = timestampFromMs(systemClock.now() + 90_500);
  const pending = create(AlertDeliverySchema, {
    incidentId: "01a",
    receiver: "hook",
    number: 2,
    notice: AlertNotice.RESOLVED,
    state: AlertDeliveryState.PENDING,
    attempts: 3,
    nextAttemptAt: soon,
    error: "HTTP 500",
  });
  expect(deliveryTable([pending]).rows).toEqual([
    ["01a", "hook", "2", "resolved", "pending", "3", "-", "1m30s", "HTTP 500"],
  ]);
  const match = { kinds: [IncidentKind.BURN_RATE], minSeverity: 2, nodes: ["edge-*"] };
  const silence = create(AlertSilenceSchema, { id: "01b", match, endsAt: soon, createdBy: "ann", comment: "switch" });
  const all = create(AlertSilenceSchema, { id: "01c", endsAt: soon });
  expect(silenceTable([silence, all]).rows.map(([, what]) => what)).toEqual([
    "burn-rate, warning or graver, node edge-*",
    "everything",
  ]);
});
