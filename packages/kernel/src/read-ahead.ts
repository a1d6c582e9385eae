/**
 * The results of work on many items, in the order of the items, while so many later ones are under way. A failure comes
 * where its result would have; nothing new is begun when the caller stops asking.
 */
export async function* readAhead<T, R>(
  items: Iterable<T>,
  work: (item: T) => Promise<R>,
  ahead: number,
): AsyncGenerator<R, void, undefined> {
  const pending: Promise<R>[] = [];
  for (const item of items) {
    const result = work(item);
    // Whoever waits for it hears of its failure; nobody may be waiting any more.
    result.catch(() => {});
    pending.push(result);
    if (pending.length <= ahead) continue;
    const first = pending.shift();
    if (first !== undefined) yield await first;
  }
  for (const result of pending) yield await result;
}
