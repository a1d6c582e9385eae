// Turns a feature on for a part of the users, and shows why one of them has it or not.
// node flag.ts <flag> <percent> <user>
import { createKedgeClient, loadContext } from "@kedge/client";
import { FlagType } from "@kedge/proto";

const [name = "", percent = "0", user = ""] = process.argv.slice(2);
const on = Math.round(Number(percent) * 100);
const client = createKedgeClient(await loadContext());
try {
  const { flag, changed } = await client.flags.applyFlag({
    flag: {
      name,
      type: FlagType.BOOLEAN,
      variants: {
        on: { kind: { case: "boolValue", value: true } },
        off: { kind: { case: "boolValue", value: false } },
      },
      defaultVariant: "off",
      // Who has it keeps it when the share grows.
      rules: [{ name: "ramp", serve: { case: "split", value: { shares: shares(on) } } }],
    },
    reason: `ramp to ${percent} %`,
  });
  console.log(`${name} generation ${flag?.generation}${changed ? "" : ", as it was"}`);
  const { evaluation, lines } = await client.flags.explainFlag({ name, attributes: { targetingKey: user } });
  console.log(`${user} has ${evaluation?.variant}: ${evaluation?.reason}`);
  for (const line of lines) console.log(`  ${line}`);
} finally {
  client.close();
}

function shares(basisPoints: number): { variant: string; basisPoints: number }[] {
  return [
    { variant: "on", basisPoints },
    { variant: "off", basisPoints: 10_000 - basisPoints },
  ];
}
