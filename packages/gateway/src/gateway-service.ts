import { isIP, SocketAddress } from "node:net";
import { assertName, KedgeError } from "@kedge/domain";
import type { GatewayEndpoint, GatewayService } from "./gateway-options.ts";
import { assertRouteRules } from "./route-rules.ts";

/** More replicas of one deployment than a node can hold. */
const MOST_ENDPOINTS = 1000;
const LARGEST_REVISION = 4_294_967_295;

/**
 * Services that are safe to write into HAProxy's configuration and commands, with addresses in their usual form.
 *
 * @throws KedgeError INVALID_FIELD
 */
export function checkedServices(services: readonly GatewayService[]): GatewayService[] {
  const names = new Set<string>();
  return services.map((service) => {
    assertName("deployment", service.deployment, "deployment");
    if (names.has(service.deployment)) throw invalid("deployment", `${service.deployment} is there twice`);
    names.add(service.deployment);
    if (service.endpoints.length > MOST_ENDPOINTS) throw invalid("endpoints", `more than ${MOST_ENDPOINTS}`);
    const replicas = new Set(service.endpoints.map((endpoint) => endpoint.replicaId));
    if (replicas.size < service.endpoints.length) throw invalid("endpoints", "a replica is there twice");
    assertRouteRules(service.route);
    return { ...service, endpoints: service.endpoints.map(checkedEndpoint) };
  });
}

function checkedEndpoint(endpoint: GatewayEndpoint): GatewayEndpoint {
  const { host, port, revision } = endpoint;
  const version = isIP(host);
  if (version === 0 || host.includes("%")) throw invalid("host", `${JSON.stringify(host)} is not an IP address`);
  if (!isWithin(port, 1, 65_535)) throw invalid("port", `${port} is not a port`);
  if (!isWithin(revision, 1, LARGEST_REVISION)) throw invalid("revision", `${revision} is not a revision number`);
  const { address } = new SocketAddress({ address: host, family: version === 6 ? "ipv6" : "ipv4" });
  return { ...endpoint, host: address };
}

function isWithin(value: number, low: number, high: number): boolean {
  return Number.isInteger(value) && value >= low && value <= high;
}

function invalid(field: string, what: string): KedgeError {
  return new KedgeError("INVALID_FIELD", `${field}: ${what}`, { field });
}
