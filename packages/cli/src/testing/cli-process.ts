import { main } from "../main.ts";

// The command line in a process of its own, for tests that kill it.
await main(process.argv);
