// A program of its own, run once by an agent that starts: `node capacity-probe.js FOLDER` prints what systeminformation
// finds as one line of JSON. In the agent itself the package would stay in memory for ever.
import { realpathSync } from "node:fs";
import si from "systeminformation";

const folder = realpathSync(process.argv[2] ?? ".");
const [cpu, memory, disks] = await Promise.all([si.cpu(), si.mem(), si.fsSize()]);
const disk = disks
  .filter(({ mount }) => folder === mount || folder.startsWith(mount.endsWith("/") ? mount : `${mount}/`))
  .sort((a, b) => b.mount.length - a.mount.length)[0];
process.stdout.write(JSON.stringify({ cores: cpu.cores, memoryBytes: memory.total, diskBytes: disk?.size ?? 0 }));
