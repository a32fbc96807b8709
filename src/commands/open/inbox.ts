/** What has come, in order, for one reader. */
export interface Inbox<T> {
  put(item: T): void;
  /** The next item, as soon as there is one. */
  next(): Promise<T>;
  /** The first item that fits, of those that nobody has read. */
  takeOut(fits: (item: T) => boolean): T | undefined;
}

export function makeInbox<T>(): Inbox<T> {
  const items: T[] = [];
  let waiting: ((item: T) => void) | undefined;
  return {
    put: (item) => {
      const reader = waiting;
      waiting = undefined;
      if (reader === undefined) items.push(item);
      else reader(item);
    },
    next: () => {
      const [first] = items.splice(0, 1);
      return first === undefined ? new Promise((resolve) => (waiting = resolve)) : Promise.resolve(first);
    },
    takeOut: (fits) => {
      const at = items.findIndex(fits);
      return at < 0 ? undefined : items.splice(at, 1)[0];
    },
  };
}
