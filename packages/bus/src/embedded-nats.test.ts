import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { isKedgeError } from "@kedge/domain";
import { type Clock, silentLogger, systemClock } from "@kedge/kernel";
import { createUser } from "@nats-io/nkeys";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { type Authority, openAuthority } from "./authority.ts";
import { type Bus, connectBus } from "./bus.ts";
import { EmbeddedNats } from "./embedded-nats.ts";
import { findNatsServer } from "./nats-binary.ts";
import { isOurServer } from "./nats-process.ts";

describe("the embedded server", () => {
  let dir: string;
  let authority: Authority;
  const started: EmbeddedNats[] = [];
  const { signal } = new AbortController();

  beforeEach(async () => {
    dir = await mkdtemp(join(tmpdir(), "kedge-nats-"));
    authority = await openAuthority(join(dir, "authority"), { hosts: [] });
  });

  afterEach(async () => {
    for (const nats of started.splice(0)) await nats.stop();
    await rm(dir, { recursive: true, force: true });
  });

  /** Never wakes the loop that watches the server: to the server, an owner with it is as good as killed. */
  const killedOwner: Clock = {
    ...systemClock,
    sleep: (ms, abort) => systemClock.sleep(ms < 100 ? ms : 1e9, abort),
  };

  const embedded = async (extra: { readonly maxStoreBytes?: number; readonly clock?: Clock } = {}) => {
    const binary = await findNatsServer({ env: process.env });
    const base = { dir: join(dir, "nats"), binary, authority, clock: systemClock, logger: silentLogger };
    const nats = new EmbeddedNats({ ...base, ...extra });
    started.push(nats);
    return nats;
  };

  const admin = async (nats: EmbeddedNats): Promise<Bus> => {
    const base = { servers: [nats.address], caPem: authority.caPem, clock: systemClock, logger: silentLogger };
    return await connectBus({ ...base, ...(await authority.adminCredentials()), name: "admin" }, signal);
  };

  it("is adopted by the next owner, replaced when settings changed, restarted when it dies, gone after stop", async () => {
    const first = await embedded({ clock: killedOwner });
    await first.start(signal);
    const adopting = await embedded({ clock: killedOwner });
    await adopting.start(signal);
    expect([adopting.pid, adopting.address]).toEqual([first.pid, first.address]);
    const changed = await embedded({ maxStoreBytes: 2 ** 30 });
    await changed.start(signal);
    expect(changed.pid).not.toBe(first.pid);
    expect(changed.address).toBe(first.address);
    const died = changed.pid;
    process.kill(died, "SIGKILL");
    await expect.poll(() => changed.pid, { timeout: 20_000 }).not.toBe(died);
    const bus = await admin(changed);
    expect(bus.serverVersion).toMatch(/^2\./);
    await bus.close();
    const last = changed.pid;
    await changed.stop();
    expect(await isOurServer(last, join(dir, "nats", "nats.conf"))).toBe(false);
  });

  it("keeps revocations over a restart of everything", async () => {
    const nats = await embedded();
    await nats.start(signal);
    const bus = await admin(nats);
    await authority.syncAccounts(bus);
    const user = createUser();
    const jwt = await authority.mintNodeJwt(bus, "n1", user.getPublicKey());
    await authority.revokeNode(bus, "n1", user.getPublicKey());
    await bus.close();
    await nats.stop();
    await rm(join(dir, "nats", "data"), { recursive: true, force: true });
    authority = await openAuthority(join(dir, "authority"), { hosts: [] });
    const again = await embedded();
    await again.start(signal);
    const admin2 = await admin(again);
    await authority.syncAccounts(admin2);
    const login = { jwt, seed: user.getSeed(), name: "n1", servers: [again.address], caPem: authority.caPem };
    const giveUp = AbortSignal.timeout(1_500);
    const attempt = connectBus({ ...login, clock: systemClock, logger: silentLogger }, giveUp);
    await expect(attempt).rejects.toSatisfy((error) => isKedgeError(error, "CANCELLED"));
    await admin2.close();
  });

  it("says what to install when there is no server", async () => {
    const finding = findNatsServer({ env: { KEDGE_NATS_SERVER: "/nowhere/nats-server" } });
    await expect(finding).rejects.toSatisfy(
      (error) => isKedgeError(error, "UNSUPPORTED_PLATFORM") && error.hint !== "",
    );
  });
});
