import type { LookupAddress } from "node:dns";
import { lookup } from "node:dns/promises";
import { BlockList, isIP, type LookupFunction } from "node:net";
import { KedgeError } from "@kedge/domain";

type Subnet = readonly [network: string, prefix: number];

/** What nobody may reach through the controller: metadata services, link-local, multicast, what is reserved. */
const NEVER: readonly Subnet[] = [
  ["0.0.0.0", 8],
  ["169.254.0.0", 16],
  ["100.100.100.200", 32],
  ["192.0.0.0", 24],
  ["224.0.0.0", 4],
  ["240.0.0.0", 4],
  ["fe80::", 10],
  ["fd00:ec2::254", 128],
  ["ff00::", 8],
];

/** What only an administrator's word opens. */
const PRIVATE: readonly Subnet[] = [
  ["127.0.0.0", 8],
  ["10.0.0.0", 8],
  ["172.16.0.0", 12],
  ["192.168.0.0", 16],
  ["100.64.0.0", 10],
  ["198.18.0.0", 15],
  ["::1", 128],
  ["fc00::", 7],
  ["fec0::", 10],
];

const never = blockList(NEVER);
const private_ = blockList(PRIVATE);

function blockList(subnets: readonly Subnet[]): BlockList {
  const list = new BlockList();
  for (const [network, prefix] of subnets) list.addSubnet(network, prefix, isIP(network) === 6 ? "ipv6" : "ipv4");
  return list;
}

/** Why an address must not be connected to, if it must not. Text that is no address is refused. */
export function whyRefused(address: string, allowPrivate: boolean): string | undefined {
  const inner = innerIpv4(address);
  if (inner !== undefined) return whyRefused(inner, allowPrivate);
  const version = isIP(address);
  if (version === 0) return "it is no IP address";
  const family = version === 6 ? "ipv6" : "ipv4";
  // The unspecified address means this machine, and with it most of what has no IPv4 inside is not in use.
  if (address === "::" || never.check(address, family)) return "it is link-local, a metadata service's or reserved";
  if (!allowPrivate && private_.check(address, family)) return "it is private; allow-private of the receiver opens it";
  return undefined;
}

/** The IPv4 address inside an IPv6 one (RFC 4291 mapped and compatible, RFC 6052 NAT64, RFC 3056 6to4), if there is one. */
function innerIpv4(address: string): string | undefined {
  if (isIP(address) !== 6) return undefined;
  const groups = hextets(address);
  const [a = 0, b = 0, c = 0, d = 0, e = 0, f = 0, g = 0, h = 0] = groups;
  if (a === 0x2002) return dotted(b, c);
  const isNat64 = a === 0x64 && b === 0xff9b;
  const isMapped = a + b + c + d === 0 && ((e === 0 && f === 0xffff) || (e === 0xffff && f === 0));
  const isCompatible = a + b + c + d + e + f === 0 && g !== 0;
  return isNat64 || isMapped || isCompatible ? dotted(g, h) : undefined;
}

/** The eight groups of an IPv6 address; the URL parser writes every form the one way. */
function hextets(address: string): number[] {
  const plain = new URL(`http://[${address.split("%", 1)[0]}]`).hostname.slice(1, -1);
  const [head = "", tail] = plain.split("::");
  const parse = (text: string): number[] =>
    text === "" ? [] : text.split(":").map((group) => Number.parseInt(group, 16));
  const [left, right] = [parse(head), parse(tail ?? "")];
  return [...left, ...new Array<number>(8 - left.length - right.length).fill(0), ...right];
}

function dotted(high: number, low: number): string {
  return [high >> 8, high & 255, low >> 8, low & 255].join(".");
}

/** Finds the addresses of a host. */
export type Resolve = (hostname: string) => Promise<readonly LookupAddress[]>;

/**
 * A resolver that asks the system for one name at a time, and once for all who want to know the same: the system's
 * resolver holds one of Node's few threads while it waits for a name server that is gone.
 */
export function createResolver(): Resolve {
  const asked = new Map<string, Promise<readonly LookupAddress[]>>();
  let last: Promise<unknown> = Promise.resolve();
  return (hostname) => {
    const known = asked.get(hostname);
    if (known !== undefined) return known;
    const mine = last.then(() => lookup(hostname, { all: true })).finally(() => asked.delete(hostname));
    asked.set(hostname, mine);
    last = mine.catch(() => {}); // whoever asked is told
    return mine;
  };
}

/**
 * Resolves names for one connection and hands out only addresses that were looked at: what is connected to is what was
 * checked, whatever the name resolves to next time. One address that is refused refuses the name.
 */
export function guardedLookup(resolve: Resolve, allowPrivate: boolean): LookupFunction {
  return (hostname, options, callback) => {
    const checked = resolve(hostname).then((addresses) => assertOpen(hostname, addresses, allowPrivate));
    checked.then(
      (addresses) => {
        const [first] = addresses;
        if (options.all === true || first === undefined) callback(null, [...addresses]);
        else callback(null, first.address, first.family);
      },
      (error: Error) => callback(error, []),
    );
  };
}

function assertOpen(hostname: string, addresses: readonly LookupAddress[], allowPrivate: boolean) {
  for (const { address } of addresses) {
    const why = whyRefused(address, allowPrivate);
    if (why !== undefined) throw refusal(hostname, address, why);
  }
  return addresses;
}

/** The error that says why an address is refused. */
export function refusal(hostname: string, address: string, why: string): KedgeError {
  const of = hostname === address ? "" : ` of ${hostname.slice(0, 80)}`;
  return new KedgeError("INVALID_FIELD", `the address ${address.slice(0, 60)}${of} is refused: ${why}`, {
    field: "url",
  });
}
