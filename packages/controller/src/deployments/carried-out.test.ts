import { create } from "@bufbuild/protobuf";
import { DeploymentSpecSchema } from "@kedge/proto";
import { expect, test } from "vitest";
import { assertCarriedOut } from "./carried-out.ts";

const specOf = (metricsPath: string) => create(DeploymentSpecSchema, { name: "vad", template: { metricsPath } });

test.each(["metrics", "http://127.0.0.1/", "/a b", "/a#b", "/a\r\nhost: b", `/${"a".repeat(256)}`])(
  "a metrics path is refused: %j",
  (path) => {
    expect(() => assertCarriedOut(specOf(path))).toThrow(expect.objectContaining({ field: "template.metrics_path" }));
  },
);

test.each(["", "/metrics", "/stats/prometheus?all=1"])("a metrics path is taken: %j", (path) => {
  assertCarriedOut(specOf(path));
});
