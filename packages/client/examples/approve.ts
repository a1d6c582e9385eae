// Lists what waits for a person, and approves what the caller may decide of one run.
// node approve.ts [run] [comment]
import { collect, createKedgeClient, loadContext } from "@kedge/client";

const [runId = "", comment = ""] = process.argv.slice(2);
const client = createKedgeClient(await loadContext());
try {
  const waiting = await collect(
    (pageToken) => client.runs.listApprovals({ runId, pageToken }),
    (page) => page.approvals,
  );
  for (const { runId: run, job, message, obstacle } of waiting) {
    console.log(`${run} ${job || "(the run)"}: ${message}`);
    if (runId === "" || obstacle !== "") continue;
    // Whoever approves twice is told no, and changes nothing.
    if (job === "") await client.runs.approveRun({ runId: run, comment });
    else await client.runs.approveJob({ runId: run, job, comment });
    console.log("approved");
  }
} finally {
  client.close();
}
