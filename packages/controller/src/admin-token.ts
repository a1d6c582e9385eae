import { chmod, readFile, rename, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { Role } from "@kedge/proto";
import { bearerText, type TokenRegistry } from "./auth/tokens.ts";

/**
 * The token of whoever owns the machine: made at first start, kept in `<dataDir>/admin-token` (0600), made anew when
 * the file is gone or its token was revoked.
 */
export async function ensureAdminToken(dataDir: string, tokens: TokenRegistry): Promise<string> {
  const path = join(dataDir, "admin-token");
  const kept = await readFile(path, "utf8").catch(() => "");
  if (tokens.authenticate(kept.trim()) !== undefined) return kept.trim();
  const made = bearerText(await tokens.create({ name: "admin", role: Role.ADMIN, createdBy: "controller" }));
  const next = `${path}.next`;
  await writeFile(next, `${made}\n`, { mode: 0o600 });
  await chmod(next, 0o600);
  await rename(next, path);
  return made;
}
