import { createHmac, timingSafeEqual } from "node:crypto";

/** The pictures there are of an incident. */
export const GRAPH_FORMATS = ["svg", "png"] as const;

/** A kind of picture. */
export type GraphFormat = (typeof GRAPH_FORMATS)[number];

/** A picture that a link is for. */
export interface GraphName {
  readonly incidentId: string;
  readonly format: GraphFormat;
}

const DAY_S = 86_400;
/** How long a link works at least. */
const VALID_DAYS = 7;

/** Path and query by which whoever has them sees one picture, and nothing else, for 7 to 8 days. */
export function graphPath(key: Uint8Array, name: GraphName, nowMs: number): string {
  // To whole days, so that repetitions of an alert have the same link.
  const expires = (Math.ceil(nowMs / 1000 / DAY_S) + VALID_DAYS) * DAY_S;
  const signature = sign(key, name, expires).toString("base64url");
  return `/incidents/${name.incidentId}.${name.format}?expires=${expires}&signature=${signature}`;
}

/** Tells whether a link was made with the key and still works. Takes the same time for every wrong signature. */
export function isGraphLinkValid(
  key: Uint8Array,
  name: GraphName,
  { expires, signature }: { readonly expires: string; readonly signature: string },
  nowMs: number,
): boolean {
  if (!/^\d{1,12}$/.test(expires) || Number(expires) * 1000 <= nowMs) return false;
  const wanted = sign(key, name, Number(expires));
  const got = Buffer.from(signature.slice(0, 100), "base64url");
  return got.byteLength === wanted.byteLength && timingSafeEqual(got, wanted);
}

function sign(key: Uint8Array, { incidentId, format }: GraphName, expires: number): Buffer {
  return createHmac("sha256", key).update(`kedge-graph\n${incidentId}\n${format}\n${expires}`).digest();
}
