import { KedgeError } from "@kedge/domain";

/** One page and where the next begins. */
export interface Page<T> {
  readonly items: T[];
  readonly nextPageToken: string;
}

const DEFAULT_SIZE = 100;
const MAX_SIZE = 1000;

/**
 * Cuts a page out of items that are sorted by a unique key, ascending or descending. The token is the last key
 * served, so that items added or removed meanwhile shift nothing.
 *
 * @throws KedgeError INVALID_PAGE_TOKEN.
 */
export function pageOf<T>(
  sorted: readonly T[],
  keyOf: (item: T) => string,
  request: { readonly pageSize: number; readonly pageToken: string },
): Page<T> {
  const size = Math.min(request.pageSize || DEFAULT_SIZE, MAX_SIZE);
  const start = request.pageToken === "" ? 0 : startAfter(sorted, keyOf, decodeToken(request.pageToken));
  const items = sorted.slice(start, start + size);
  const last = items.at(-1);
  const more = last !== undefined && start + size < sorted.length;
  return { items, nextPageToken: more ? Buffer.from(`k${keyOf(last)}`).toString("base64url") : "" };
}

function startAfter<T>(sorted: readonly T[], keyOf: (item: T) => string, key: string): number {
  const [first, last] = [sorted[0], sorted.at(-1)];
  const descending = first !== undefined && last !== undefined && keyOf(first) > keyOf(last);
  const at = sorted.findIndex((item) => (descending ? keyOf(item) < key : keyOf(item) > key));
  return at < 0 ? sorted.length : at;
}

function decodeToken(token: string): string {
  const text = Buffer.from(token, "base64url").toString();
  if (text.startsWith("k")) return text.slice(1);
  throw new KedgeError("INVALID_PAGE_TOKEN", "the page token was not made by this server", { field: "page_token" });
}
