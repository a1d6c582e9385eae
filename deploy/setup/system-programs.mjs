// Programs that are no npm packages: HAProxy, git, the Docker Engine, nats-server.
import {
  chmodSync,
  copyFileSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { homedir, tmpdir } from "node:os";
import { join } from "node:path";
import { distributions, findProgram, isExecutable, mayInstall, SetupError } from "./platform.mjs";
import { runQuiet, say } from "./run.mjs";

/** Where the set-up keeps a nats-server newer than the distribution's; `kedge up` looks there too. */
export const natsServerPath = join(process.env.HOME ?? homedir(), ".cache/kedge/bin/nats-server");

const PROGRAMS = [
  { program: "git", packages: ["git"], why: "checks out sources" },
  { program: "haproxy", packages: ["haproxy"], why: "is the gateway of serving nodes" },
];
const DOCKER_PROGRAMS = [
  { program: "dockerd", packages: ["docker.io", "iptables"], why: "runs container steps and builds images" },
  { program: "busybox", packages: ["busybox-static"], why: "is what base images are made of when none can be pulled" },
];

/** For what other programs do with Kedge, or Kedge with them. */
const TEST_PROGRAMS = [
  {
    program: "grpc_python_plugin",
    packages: ["python3-grpcio", "python3-protobuf", "protobuf-compiler", "protobuf-compiler-grpc", "libprotobuf-dev"],
    why: "generates the client of another language that a test uses",
  },
  { program: "svnserve", packages: ["subversion"], why: "is checked out from in tests, and checks out" },
  {
    program: "docker-registry",
    packages: ["docker-registry", "openssl"],
    why: "is pushed to and pulled from in tests",
  },
  { program: "git-lfs", packages: ["git-lfs"], why: "gets large files of repositories in tests" },
];

const BENCH_PROGRAMS = [{ program: "wrk", packages: ["wrk"], why: "loads the gateway in its benchmark" }];

/** Makes every program available, or says exactly what to install. */
export async function ensureSystemPrograms({ noDocker, forBench, forTest }) {
  const docker = noDocker ? [] : DOCKER_PROGRAMS;
  const wanted = [...PROGRAMS, ...docker, ...(forBench ? BENCH_PROGRAMS : []), ...(forTest ? TEST_PROGRAMS : [])];
  const missing = wanted.filter(({ program }) => !isPresent(program));
  if (missing.length > 0) await installPackages(missing);
  await ensureNatsServer();
}

function isPresent(program) {
  // An engine that somebody else runs is as good as one of our own.
  if (program === "dockerd" && process.env.DOCKER_HOST) return true;
  return findProgram(program) !== undefined;
}

async function installPackages(missing) {
  const packages = missing.flatMap((entry) => entry.packages);
  if (!mayInstall()) {
    const list = missing.map(({ program, why }) => `  ${program}: ${why}`).join("\n");
    throw new SetupError(
      `these programs are missing, and only root on Debian or Ubuntu may install them from here:\n${list}\n` +
        `Debian, Ubuntu: sudo apt-get install ${packages.join(" ")}\n` +
        `macOS: brew install ${missing.map(({ program }) => (program === "dockerd" ? "colima docker" : program)).join(" ")}\n` +
        "Without Docker: npm run demo -- --no-docker",
    );
  }
  say(`apt-get install ${packages.join(" ")}`);
  const env = { ...process.env, DEBIAN_FRONTEND: "noninteractive" };
  await runQuiet("apt-get", ["-q", "update"], { env });
  await runQuiet("apt-get", ["-q", "install", "-y", "--no-install-recommends", ...packages], { env });
}

async function ensureNatsServer() {
  if (process.env.KEDGE_NATS_SERVER || isExecutable(natsServerPath)) return;
  if (isCurrent(await versionOf(findProgram("nats-server")))) return;
  if (!mayInstall()) {
    if (findProgram("nats-server")) return warnOld();
    throw new SetupError(
      "nats-server is missing; install 2.11 or newer and have it in PATH, or name it in KEDGE_NATS_SERVER.\n" +
        "macOS: brew install nats-server; elsewhere: the releases of github.com/nats-io/nats-server",
    );
  }
  try {
    await fetchNatsServer();
  } catch (error) {
    say(`a current nats-server could not be fetched (${error.message.split("\n")[0]}), taking the distribution's`);
    if (!findProgram("nats-server")) await installPackages([{ program: "nats-server", packages: ["nats-server"] }]);
    warnOld();
  }
}

function warnOld() {
  say("nats-server is older than 2.11: it works, but has known advisories; use 2.11.15 or newer in production");
}

/** Takes nats-server out of a newer Debian suite's package; nothing of the system is touched. */
async function fetchNatsServer() {
  if (distributions()[0] !== "debian") throw new Error("not Debian");
  say("fetching a current nats-server from Debian's archive");
  const dir = mkdtempSync(join(tmpdir(), "kedge-apt-"));
  try {
    const options = writeAptRoot(dir);
    await runQuiet("apt-get", ["-q", ...options, "update"]);
    const listing = await runQuiet("apt-cache", [...options, "madison", "nats-server"]);
    const suite = ["forky", "trixie"].find((name) => listing.includes(`${name}/main`));
    const version = listing
      .split("\n")
      .find((line) => line.includes(`${suite}/main`))
      ?.split("|")[1]
      ?.trim();
    if (!version) throw new Error("no newer suite has it");
    await runQuiet("apt-get", [...options, "download", `nats-server=${version}`], { cwd: dir });
    const deb = readdirSync(dir).find((name) => name.endsWith(".deb"));
    await runQuiet("dpkg", ["-x", join(dir, deb), join(dir, "root")]);
    const binary = join(dir, "root/usr/sbin/nats-server");
    await runQuiet(binary, ["--version"]);
    mkdirSync(join(natsServerPath, ".."), { recursive: true });
    copyFileSync(binary, `${natsServerPath}.next`);
    chmodSync(`${natsServerPath}.next`, 0o755);
    renameSync(`${natsServerPath}.next`, natsServerPath);
  } finally {
    rmSync(dir, { recursive: true, force: true });
  }
}

/** An apt configuration of its own, beside the system's. */
function writeAptRoot(dir) {
  for (const folder of ["lists/partial", "cache/archives/partial"]) mkdirSync(join(dir, folder), { recursive: true });
  const uri = archiveUri();
  const keyring = "/usr/share/keyrings/debian-archive-keyring.gpg";
  const lines = ["trixie", "forky"].map((suite) => `deb [signed-by=${keyring}] ${uri} ${suite} main`);
  writeFileSync(join(dir, "sources.list"), `${lines.join("\n")}\n`);
  const settings = {
    "Dir::Etc::sourcelist": join(dir, "sources.list"),
    "Dir::Etc::sourceparts": "-",
    "Dir::State::lists": join(dir, "lists"),
    "Dir::Cache": join(dir, "cache"),
    "APT::Sandbox::User": "root",
  };
  return Object.entries(settings).flatMap(([key, value]) => ["-o", `${key}=${value}`]);
}

/** The mirror this machine uses. */
function archiveUri() {
  for (const [file, pattern] of [
    ["/etc/apt/sources.list.d/debian.sources", /^URIs:\s*(\S*debian)\/?$/m],
    ["/etc/apt/sources.list", /^deb\s+(?:\[.*?\]\s+)?(\S*debian)\/?\s/m],
  ]) {
    try {
      const uri = pattern.exec(readFileSync(file, "utf8"))?.[1];
      if (uri) return uri;
    } catch {
      // The other place may have it.
    }
  }
  return "http://deb.debian.org/debian";
}

async function versionOf(program) {
  if (program === undefined) return undefined;
  const text = await runQuiet(program, ["--version"]).catch(() => "");
  return /v(\d+)\.(\d+)\./.exec(text)?.slice(1).map(Number);
}

function isCurrent(version) {
  if (version === undefined) return false;
  const [major, minor] = version;
  return major > 2 || (major === 2 && minor >= 11);
}
