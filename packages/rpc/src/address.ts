import { KedgeError } from "@kedge/domain";

const ADDRESS = /^(?:\[([0-9a-fA-F:.]+)\]|([^\s:/]+)):(\d{1,5})$/;

/**
 * Splits `host:port` or `[ipv6]:port`.
 *
 * @throws KedgeError INVALID_OPTION for anything else.
 */
export function splitAddress(address: string): { readonly host: string; readonly port: number } {
  const match = ADDRESS.exec(address);
  const host = match?.[1] ?? match?.[2];
  const port = Number(match?.[3]);
  if (host === undefined || !(port <= 65_535)) {
    throw new KedgeError("INVALID_OPTION", `address: expected host:port, got ${JSON.stringify(address.slice(0, 80))}`, {
      field: "address",
    });
  }
  return { host, port };
}
