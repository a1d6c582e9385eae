import { create } from "@bufbuild/protobuf";
import {
  HttpProbeSchema,
  type RegistryUse,
  RegistryUseSchema,
  type SecretUse,
  SecretUseSchema,
  type Service,
  ServiceSchema,
} from "@kedge/proto";
import { z } from "zod";
import {
  duration,
  early,
  env,
  exactlyOne,
  innerPath,
  reference,
  report,
  scalarText,
  someText,
  whole,
} from "./fields.ts";
import { quote } from "./finding.ts";
import { compileResources, resourcesSchema } from "./resources.ts";

const MAX_SERVICES = 16;
const MAX_SECRETS = 100;
const MAX_REGISTRIES = 20;
const SERVICE_NAME = /^[a-z]([a-z0-9-]{0,61}[a-z0-9])?$/;
const REGISTRY_HOST = /^(?:[a-z0-9](?:[a-z0-9.-]{0,251}[a-z0-9])?|\[[0-9a-f:]{2,39}\])(?::[1-9][0-9]{0,4})?$/i;
const SECRET_NAME = /^[A-Za-z_][A-Za-z0-9_-]{0,127}$/;

const port = whole(1, 65_535);

const ready = z
  .strictObject({
    command: someText.optional().meta({ description: "Run in the service until it exits with 0." }),
    tcp: port.optional(),
    http: z
      .strictObject({ port, path: early((it) => /^\/\S{0,500}$/.test(it), "a path that begins with /").default("/") })
      .optional(),
  })
  .superRefine((value, ctx) => exactlyOne(value, ["command", "tcp", "http"], ctx))
  .transform((value): Service["ready"] => {
    if (value.command !== undefined) return { case: "readyCommand", value: value.command };
    if (value.tcp !== undefined) return { case: "readyTcpPort", value: value.tcp };
    return value.http === undefined
      ? { case: undefined }
      : { case: "readyHttp", value: create(HttpProbeSchema, value.http) };
  });

const service = z.strictObject({
  image: reference("an image"),
  command: z.array(scalarText).min(1).max(1000).optional(),
  env: env.optional(),
  resources: resourcesSchema.optional(),
  ready: ready.optional(),
  "ready-timeout": duration.optional().meta({ description: "Default: 60s." }),
});

/** The `services` of a job: containers beside its steps, reached by their names. */
export const servicesSchema = z
  .record(
    early((value) => SERVICE_NAME.test(value), "a host name: lower-case letters, digits and inner dashes"),
    service,
  )
  .superRefine((services, ctx) => {
    if (Object.keys(services).length > MAX_SERVICES) report(ctx, `must have at most ${MAX_SERVICES} entries`);
  })
  .transform((services) =>
    Object.entries(services).map(
      ([called, fields]): Service =>
        create(ServiceSchema, {
          ...{ name: called, image: fields.image, command: fields.command ?? [], env: { ...fields.env } },
          resources: compileResources(fields.resources),
          ready: fields.ready ?? { case: undefined },
          readyTimeoutSeconds: fields["ready-timeout"] ?? 0,
        }),
    ),
  );

const secretName = early((value) => SECRET_NAME.test(value), "the name of a secret: letters, digits, _ and -");

/** The `secrets` of a job: a name alone becomes a variable of that name. */
export const secretsSchema = z
  .array(
    z.union([
      secretName,
      z
        .strictObject({
          secret: secretName.optional(),
          parameter: secretName.optional().meta({ description: "A parameter of type secret." }),
          env: early((value) => /^[A-Za-z_][A-Za-z0-9_]{0,127}$/.test(value), "a variable name").optional(),
          file: innerPath.optional().meta({ description: "Below the folder that KEDGE_SECRETS names." }),
        })
        .superRefine((value, ctx) => {
          exactlyOne(value, ["secret", "parameter"], ctx);
          exactlyOne(value, ["env", "file"], ctx);
        }),
    ]),
  )
  .min(1)
  .max(MAX_SECRETS)
  .transform((uses) =>
    uses.map((use): SecretUse => {
      if (typeof use === "string") return create(SecretUseSchema, { secret: use, env: use.replaceAll("-", "_") });
      const secret = use.parameter === undefined ? (use.secret ?? "") : `parameters.${use.parameter}`;
      return create(SecretUseSchema, { secret, env: use.env ?? "", file: use.file ?? "" });
    }),
  )
  .superRefine((uses, ctx) => {
    const targets = uses.map((use) => `${use.env}:${use.file}`);
    for (const [i, own] of targets.entries()) {
      if (targets.indexOf(own) !== i)
        report(ctx, `two secrets go to ${quote(own.replace(/^:|:$/g, ""))}`, { path: [i] });
    }
  });

/** The `registries` of a job: who logs in where. */
export const registriesSchema = z
  .array(
    z.strictObject({
      host: early((value) => REGISTRY_HOST.test(value), "a registry's host, e.g. ghcr.io or registry.example:5000"),
      username: z.union([early(isUsername, "a user name"), z.strictObject({ secret: secretName })]),
      password: secretName.meta({ description: "Secret with the password or token." }),
    }),
  )
  .min(1)
  .max(MAX_REGISTRIES)
  .superRefine((registries, ctx) => {
    const hosts = registries.map(({ host }) => host.toLowerCase());
    for (const [i, host] of hosts.entries())
      if (hosts.indexOf(host) !== i) report(ctx, `two logins for ${quote(host)}`, { path: [i, "host"] });
  })
  .transform((registries) =>
    registries.map(({ host, username, password }): RegistryUse => {
      const user = typeof username === "string" ? { username } : { usernameSecret: username.secret };
      return create(RegistryUseSchema, { registry: host, ...user, passwordSecret: password });
    }),
  );

/** Basic logins end the name at a colon. */
function isUsername(value: string): boolean {
  return /^[^\s:]{1,256}$/.test(value);
}
