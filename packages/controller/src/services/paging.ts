import { KedgeError } from "@kedge/domain";

/** One page and where the next begins. */
export interface Page<T> {
  readonly items: T[];
  readonly nextPageToken: string;
}

/** Which page is asked for. */
export interface PageRequest<T> {
  /** 0: 100; at most 1000. */
  readonly pageSize: number;
  readonly pageToken: string;
  readonly descending?: boolean;
  /** Encoded size of an item; a page ends early rather than exceed what one answer carries. */
  readonly bytesOf?: (item: T) => number;
}

const MAX_BYTES = 2 * 1024 * 1024;
const DEFAULT_SIZE = 100;
const MAX_SIZE = 1000;

/**
 * Cuts a page out of items that are sorted by a unique key, ascending unless told otherwise. The token is the last key
 * served, so that items added or removed meanwhile shift nothing.
 *
 * @throws KedgeError INVALID_PAGE_TOKEN.
 */
export function pageOf<T>(sorted: readonly T[], keyOf: (item: T) => string, request: PageRequest<T>): Page<T> {
  const size = Math.min(request.pageSize || DEFAULT_SIZE, MAX_SIZE);
  const start = request.pageToken === "" ? 0 : startAfter(sorted, keyOf, request);
  const items = fitting(sorted.slice(start, start + size), request.bytesOf);
  const last = items.at(-1);
  const more = last !== undefined && start + items.length < sorted.length;
  return { items, nextPageToken: more ? Buffer.from(`k${keyOf(last)}`).toString("base64url") : "" };
}

/** As many items as one answer carries; at least one. */
function fitting<T>(items: T[], bytesOf: PageRequest<T>["bytesOf"]): T[] {
  if (bytesOf === undefined) return items;
  let bytes = 0;
  const end = items.findIndex((item, i) => {
    bytes += bytesOf(item);
    return i > 0 && bytes > MAX_BYTES;
  });
  return end < 0 ? items : items.slice(0, end);
}

function startAfter<T>(sorted: readonly T[], keyOf: (item: T) => string, request: PageRequest<T>): number {
  const key = decodeToken(request.pageToken);
  const at = sorted.findIndex((item) => (request.descending ? keyOf(item) < key : keyOf(item) > key));
  return at < 0 ? sorted.length : at;
}

function decodeToken(token: string): string {
  const text = Buffer.from(token, "base64url").toString();
  if (text.startsWith("k")) return text.slice(1);
  throw new KedgeError("INVALID_PAGE_TOKEN", "the page token was not made by this server", { field: "page_token" });
}
