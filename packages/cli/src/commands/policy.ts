import { create } from "@bufbuild/protobuf";
import { formatSchedulingPolicy, parseSchedulingPolicy } from "@kedge/pipeline";
import {
  GetSchedulingPolicyResponseSchema,
  type SchedulingPolicy,
  SchedulingPolicySchema,
  SetSchedulingPolicyResponseSchema,
} from "@kedge/proto";
import { readInput } from "../options.ts";
import type { View } from "../output/output.ts";
import { ExitRequest } from "../print-error.ts";
import { addRemote, type CommandGroup } from "../session.ts";

const text = ({ policy }: { readonly policy?: SchedulingPolicy | undefined }): View => [
  formatSchedulingPolicy(policy ?? create(SchedulingPolicySchema)).trimEnd(),
];

/** `kedge policy ...` */
export const policyCommands: CommandGroup = (program, host) => {
  const policy = program.command("policy").description("shares, quotas and limits that the scheduler goes by");
  addRemote(policy, host, {
    usage: "get",
    description: "print the policy as a file that apply takes",
    examples: ["kedge policy get > policy.yaml"],
    run: async ({ client, output }) =>
      output.show(GetSchedulingPolicyResponseSchema, await client.scheduling.getSchedulingPolicy({}), text),
  });
  addRemote<{ file: string }>(policy, host, {
    usage: "apply",
    description: "make a file the policy; it replaces the one there is",
    options: (command) => command.requiredOption("-f, --file <path>", "policy file; - is standard input"),
    examples: ["kedge policy apply -f policy.yaml"],
    run: async ({ client, output }, _args, { file }) => {
      const { policy: wanted, diagnostics } = parseSchedulingPolicy(await readInput(file), file);
      output.diagnostics(diagnostics);
      if (wanted === undefined) throw new ExitRequest("usage");
      const response = await client.scheduling.setSchedulingPolicy({ policy: wanted });
      output.show(SetSchedulingPolicyResponseSchema, response, text);
    },
  });
};
