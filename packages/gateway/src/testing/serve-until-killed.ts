import { silentLogger, systemClock } from "@kedge/kernel";
import { Gateway } from "../gateway.ts";
import { service } from "./test-bed.ts";

/** A process of its own that serves deployment "m" from one replica: `serve-until-killed.ts <dir> <replica port>`. */
const [dir = "", port = ""] = process.argv.slice(2);
const gateway = new Gateway({
  dir,
  listen: { host: "127.0.0.1", port: 0 },
  nodeId: "node-1",
  bootId: "boot-0",
  clock: systemClock,
  logger: silentLogger,
  onWindow: () => {},
  capacity: { backends: 2, serversPerBackend: 4 },
  threads: 2,
});
await gateway.start(new AbortController().signal);
await gateway.apply([service({ 1: 10_000 }, [{ replicaId: "a", revision: 1, host: "127.0.0.1", port: Number(port) }])]);
process.stdout.write("serving\n");
await systemClock.sleep(600_000);
