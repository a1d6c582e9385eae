/** The part of every list response that leads on. */
export interface Page {
  readonly nextPageToken: string;
}

/**
 * Every page of a list, one call at a time, the first with an empty token.
 *
 * @example for await (const page of pages((pageToken) => client.nodes.listNodes({ pageToken }))) use(page.nodes);
 */
export async function* pages<P extends Page>(list: (pageToken: string) => Promise<P>): AsyncGenerator<P> {
  let pageToken = "";
  do {
    const page = await list(pageToken);
    yield page;
    pageToken = page.nextPageToken;
  } while (pageToken !== "");
}

/** The items of all pages. `limit` ends it early; default: no limit. */
export async function collect<P extends Page, T>(
  list: (pageToken: string) => Promise<P>,
  items: (page: P) => readonly T[],
  limit = Number.POSITIVE_INFINITY,
): Promise<T[]> {
  const all: T[] = [];
  for await (const page of pages(list)) {
    all.push(...items(page));
    if (all.length >= limit) return all.slice(0, limit);
  }
  return all;
}
