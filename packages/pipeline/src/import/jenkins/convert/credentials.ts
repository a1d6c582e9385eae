import type { Expression } from "../groovy/nodes.ts";
import type { Step } from "../model/model.ts";
import { argument, items, literalText } from "./arguments.ts";
import { secretName } from "./report.ts";
import type { StepContext } from "./step-context.ts";

/** `withCredentials`: the job is given the secrets; the context for the steps within sets what else they expect. */
export function convertCredentials(step: Step, context: StepContext): StepContext {
  const exports: string[] = [];
  for (const binding of items(argument(step.args, "bindings", "bindings"))) {
    const bound = binding.kind === "call" && bind(binding, context);
    if (bound === false || bound === undefined) {
      const message = "this kind of credentials has no counterpart: give the job a secret by hand";
      context.report.unsupported(binding.start, "withCredentials", message);
    } else {
      exports.push(...bound);
      context.report.exact(binding.start, "withCredentials", "secrets of the job, under the names of the credentials");
    }
  }
  return { ...context, exports: [...context.exports, ...exports] };
}

/** The lines of shell that set what is no secret by itself; undefined for kinds that are not known. */
function bind({ method, args }: Expression & { kind: "call" }, { job }: StepContext): string[] | undefined {
  const [map] = args;
  const text = (key: string) =>
    map?.kind === "map"
      ? literalText(map.entries.find((it) => it.key.kind === "constant" && it.key.value === key)?.value)
      : undefined;
  const id = text("credentialsId");
  const variable = text("variable");
  const kind = method.kind === "constant" ? method.value : undefined;
  if (id === undefined) return undefined;
  if (kind === "string" && isVariable(variable)) {
    job.addSecret(id, variable);
    return [];
  }
  if (kind === "file" && isVariable(variable)) {
    job.addSecretFile(id);
    return [`export ${variable}="$KEDGE_SECRETS/${secretName(id)}"`];
  }
  if (kind === "usernamePassword" || kind === "gitUsernamePassword") {
    const [user, password] = [text("usernameVariable"), text("passwordVariable")];
    if (!isVariable(user) || !isVariable(password)) return undefined;
    job.addSecret(`${id}_USR`, user);
    job.addSecret(`${id}_PSW`, password);
    return [];
  }
  if (kind === "usernameColonPassword" && isVariable(variable)) {
    job.addSecret(id, variable);
    return [];
  }
  if (kind !== "sshUserPrivateKey") return undefined;
  const [key, user] = [text("keyFileVariable"), text("usernameVariable")];
  if (!isVariable(key)) return undefined;
  job.addSecretFile(id);
  if (isVariable(user)) job.addSecret(`${id}_USR`, user);
  return [`export ${key}="$KEDGE_SECRETS/${secretName(id)}"`];
}

/** A name that a secret can be given under. */
export function isVariable(name: string | undefined): name is string {
  return name !== undefined && /^[A-Za-z_][A-Za-z0-9_]{0,127}$/.test(name) && !name.startsWith("KEDGE_");
}
