import { isIP } from "node:net";
import { KedgeError } from "@kedge/domain";
import type { Clock, Logger } from "@kedge/kernel";
import type { Route, Window } from "@kedge/proto";

/** One ready replica. Its host is an IP address. */
export interface GatewayEndpoint {
  readonly replicaId: string;
  readonly revision: number;
  readonly host: string;
  readonly port: number;
}

/**
 * What the gateway is to serve for one deployment: its route and the replicas that are ready on this node. The route's
 * splits are those for this node; its waves are not looked at.
 */
export interface GatewayService {
  readonly deployment: string;
  readonly route: Route;
  readonly endpoints: readonly GatewayEndpoint[];
}

/** How many backends and servers HAProxy starts with. More needs one seamless reload, after which both are doubled. */
export interface GatewayCapacity {
  /** Deployments; default 32. */
  readonly backends: number;
  /** Endpoints of each deployment, those being drained included; default 16. */
  readonly serversPerBackend: number;
}

/** How a node's gateway is set up. */
export interface GatewayOptions {
  /** Folder of the gateway's own, made with mode 0700. Its path is at most 80 characters, as it holds Unix sockets. */
  readonly dir: string;
  /** Default "/usr/sbin/haproxy". */
  readonly haproxyPath?: string;
  /** Where users connect. Port 0 picks a free port once and keeps it in `dir`. */
  readonly listen: { readonly host: string; readonly port: number };
  readonly nodeId: string;
  /** New at each start of the agent; goes into every window. */
  readonly bootId: string;
  readonly clock: Clock;
  readonly logger: Logger;
  /** Gets every window when it closes. Must not throw. */
  onWindow(window: Window): void;
  /** Connections of users at once; default 4096. */
  readonly maxConnections?: number;
  /** HAProxy's threads; default 0: as many as it finds cores. */
  readonly threads?: number;
  readonly capacity?: GatewayCapacity;
}

/** Options with defaults filled in. */
export interface ResolvedGatewayOptions extends Required<GatewayOptions> {}

const LONGEST_DIR = 80;
const UNSAFE_PATH = /[^\w./@+-]/;

/**
 * Fills in defaults.
 *
 * @throws KedgeError INVALID_OPTION for a folder, address or number that HAProxy cannot work with.
 */
export function resolveGatewayOptions(options: GatewayOptions): ResolvedGatewayOptions {
  const { dir, listen } = options;
  if (dir.length > LONGEST_DIR || UNSAFE_PATH.test(dir)) {
    throw invalid("dir", `at most ${LONGEST_DIR} characters out of letters, digits and ./@+-_`, dir);
  }
  if (isIP(listen.host) === 0 || listen.host.includes("%")) throw invalid("listen.host", "an IP address", listen.host);
  const resolved: ResolvedGatewayOptions = {
    haproxyPath: "/usr/sbin/haproxy",
    maxConnections: 4096,
    threads: 0,
    capacity: { backends: 32, serversPerBackend: 16 },
    ...options,
    onWindow: (window) => options.onWindow(window),
  };
  assertInteger("listen.port", listen.port, 0, 65_535);
  assertInteger("maxConnections", resolved.maxConnections, 1, 1_000_000);
  assertInteger("threads", resolved.threads, 0, 64);
  assertInteger("capacity.backends", resolved.capacity.backends, 1, 4096);
  assertInteger("capacity.serversPerBackend", resolved.capacity.serversPerBackend, 1, 256);
  return resolved;
}

function assertInteger(field: string, value: number, low: number, high: number): void {
  if (Number.isInteger(value) && value >= low && value <= high) return;
  throw invalid(field, `a whole number from ${low} to ${high}`, String(value));
}

function invalid(field: string, expected: string, actual: string): KedgeError {
  return new KedgeError("INVALID_OPTION", `${field}: expected ${expected}, got ${JSON.stringify(actual)}`, { field });
}
