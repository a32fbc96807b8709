/** What has come, in order, for one reader. */
export interface Inbox<T> {
  put(item: T): void;
  /** The next item, as soon as there is one. */
  next(): Promise<T>;
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
  };
}
