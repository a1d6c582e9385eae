/**
 * The parent of every plain workload. It outlives the agent and needs no program but the shell itself:
 *
 * - it signs in by copying its own line of /proc to the file `process`, which must not exist yet, so of two wrappers
 *   for one workload (the agent was killed between the two writes of a start) exactly one runs the command;
 * - it catches SIGTERM, SIGINT and SIGHUP so as to outlive its command (caught, not ignored: the command gets the
 *   default back) and record the code;
 * - a code with its line end is one write, so a reader that sees the line end sees all of it;
 * - at the end it kills its process group: what the command left running ends with it, as in a container. At that
 *   moment the group certainly is ours still.
 *
 * `exec` in a subshell makes sure that the command is a program and not a word the shell itself knows.
 */
const SCRIPT = [
  "trap : TERM INT HUP",
  'f="$1"; shift; s=gone',
  "read -r s </proc/$$/stat || :",
  'set -C; { echo "$s" >"$f/process"; } 2>/dev/null || exit 0; set +C',
  '(exec "$@")',
  'echo "$?" >"$f/exit"',
  "kill -9 0",
].join("\n");

/** Arguments for /bin/sh that run `command` and keep its outcome in `folder`. */
export function wrapperArguments(folder: string, command: readonly string[]): string[] {
  return ["-c", SCRIPT, "kedge-workload", folder, ...command];
}
