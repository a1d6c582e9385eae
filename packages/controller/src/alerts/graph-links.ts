import type { Stores } from "../stores.ts";
import { graphPath } from "./graph-link.ts";
import type { GraphLinks } from "./notice.ts";
import { alertPolicy, linkKey } from "./stored-policy.ts";

/** Links to an incident's graph. `ownAddress` is host:port of the controller's HTTP server. */
export function graphLinks(
  stores: Stores,
  incidentId: string,
  { nowMs, ownAddress }: { readonly nowMs: number; readonly ownAddress: string },
): GraphLinks {
  const { externalUrl } = alertPolicy(stores);
  const base = externalUrl === "" ? `http://${ownAddress}` : externalUrl.replace(/\/+$/, "");
  const key = linkKey(stores) ?? new Uint8Array();
  const link = (format: "svg" | "png"): string => base + graphPath(key, { incidentId, format }, nowMs);
  return { svg: link("svg"), png: link("png"), arePublic: externalUrl !== "" };
}
