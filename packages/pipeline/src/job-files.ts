import { create } from "@bufbuild/protobuf";
import {
  type ArtifactSpec,
  ArtifactSpecSchema,
  type ArtifactUse,
  ArtifactUseSchema,
  type CacheSpec,
  CacheSpecSchema,
  ReportKind,
} from "@kedge/proto";
import { z } from "zod";
import { duration, early, innerPath, isInnerPath, name, report, someText } from "./fields.ts";
import { quote } from "./finding.ts";
import { RUN_ON, runOn } from "./run-on.ts";

const MAX_PATHS = 100;
const MAX_ITEMS = 50;

const REPORTS = {
  junit: ReportKind.JUNIT,
  cobertura: ReportKind.COBERTURA,
  sarif: ReportKind.SARIF,
} as const;

const glob = early((value) => isInnerPath(value.replace(/^!/, "")), 'a glob below the workspace, without ".."');

/** The `artifacts` of a job: files that outlive it. */
export const artifactsSchema = z
  .array(
    z.strictObject({
      name: name("job"),
      paths: z.array(glob).min(1).max(MAX_PATHS),
      on: runOn.optional().meta({ description: "Default: success." }),
      expire: duration.optional().meta({ description: "Default: 30d." }),
      required: z.boolean().optional().meta({ description: "The job fails when no file fits." }),
      report: z
        .enum(["junit", "cobertura", "sarif"])
        .optional()
        .meta({ description: "What the files say becomes metrics." }),
    }),
  )
  .min(1)
  .max(MAX_ITEMS)
  .superRefine((artifacts, ctx) => {
    const names = artifacts.map((it) => it.name);
    for (const [i, own] of names.entries()) {
      if (names.indexOf(own) !== i) report(ctx, `two artifacts are called ${quote(own)}`, { path: [i, "name"] });
    }
  })
  .transform((artifacts) =>
    artifacts.map(
      ({ name: called, paths, on = "success", expire = 0, required = false, report: kind }): ArtifactSpec =>
        create(ArtifactSpecSchema, {
          ...{ name: called, paths, on: RUN_ON[on], expireSeconds: expire, required },
          report: kind === undefined ? ReportKind.UNSPECIFIED : REPORTS[kind],
        }),
    ),
  );

/** The `inputs` of a job: artifacts of earlier jobs that are unpacked before its steps. */
export const inputsSchema = z
  .array(
    z.union([
      name("job").transform((job): ArtifactUse => create(ArtifactUseSchema, { job })),
      z
        .strictObject({ job: name("job"), artifact: name("job").optional(), path: innerPath.optional() })
        .transform(
          ({ job, artifact = "", path = "" }): ArtifactUse => create(ArtifactUseSchema, { job, name: artifact, path }),
        ),
    ]),
  )
  .min(1)
  .max(1000);

const cachedPath = early(
  (value) => isInnerPath(value) || /^~\/[^\s\\]{1,1000}$/.test(value),
  "a path in the workspace, or one that begins with ~/",
);

/** The `cache` of a job: folders that later jobs with the same key begin with. */
export const cachesSchema = z
  .array(
    z.strictObject({
      key: someText.meta({ examples: [`npm-\${{ hash('package-lock.json') }}`] }),
      paths: z.array(cachedPath).min(1).max(MAX_PATHS),
      "restore-keys": z.array(someText).max(20).optional(),
      "read-only": z.boolean().optional(),
    }),
  )
  .min(1)
  .max(10)
  .transform((caches) =>
    caches.map(
      ({ key, paths, "restore-keys": restoreKeys = [], "read-only": readOnly = false }): CacheSpec =>
        create(CacheSpecSchema, { key, paths, restoreKeys, readOnly }),
    ),
  );
