// Sets a secret to what is piped in, and lists the names and versions there are; nobody is ever shown a value.
// printf %s "$VALUE" | node set-secret.ts <name> [pipeline ...]
import { buffer } from "node:stream/consumers";
import { collect, createKedgeClient, loadContext } from "@kedge/client";

const [name = "", ...pipelines] = process.argv.slice(2);
const client = createKedgeClient(await loadContext());
try {
  const scope = pipelines.length === 0 ? {} : { scope: { pipelines } };
  const { secret } = await client.secrets.setSecret({ name, value: await buffer(process.stdin), ...scope });
  if (secret?.unmasked) console.log("it is too short to be masked in logs");
  const all = await collect(
    (pageToken) => client.secrets.listSecrets({ pageToken }),
    (page) => page.secrets,
  );
  for (const each of all) console.log(`${each.name} version ${each.version}, by ${each.updatedBy}`);
} finally {
  client.close();
}
