import type { World } from "../world.ts";
import { openPmi1 } from "./pmi1.ts";
import { openPmi2 } from "./pmi2.ts";
import { announced, joined, split, type Store } from "./store.ts";
import { openWire } from "./wire.ts";

/** The launcher's key-value store: what one rank put before a fence, every rank gets after it. One call at a time. */
export interface Pmi {
  /** The store's name: the same for all ranks of one launch, and for them only. */
  readonly kvsName: string;
  /** The most characters of one raw value; `put` spreads longer texts over several. */
  readonly maxValue: number;
  /** Any text; `key` is of letters, digits, `-` and `_`, at most 40 characters. */
  readonly put: (key: string, value: string) => Promise<void>;
  /**
   * Waits until every rank of the launch is here. `deadline` in milliseconds, else the one that `openPmi` was given for
   * fences.
   */
  readonly fence: (deadline?: number) => Promise<void>;
  /** `undefined` when nobody has put it. */
  readonly get: (key: string) => Promise<string | undefined>;
  /** Says goodbye; a rank that opened PMI and exits without it makes the launcher end the whole launch. */
  readonly finalize: () => Promise<void>;
  /**
   * Asks the launcher to end all ranks now and to exit with this code; it kills this process too, so say what there is
   * to say before.
   */
  readonly abort: (exitCode: number) => void;
}

/**
 * Opens the launcher's key-value store. `deadline` bounds each exchange and `fenceDeadline` each fence, in
 * milliseconds. A fence needs every rank of the launch: each opens, fences and finalizes once. Everything rejects with
 * a Failure: TSD-030 cannot be opened, TSD-031 no reply in time, TSD-032 the launcher closed the connection, TSD-033 an
 * unexpected reply. The connection stays open then: Hydra kills a launch whose rank closes it, and its message would be
 * lost.
 */
export async function openPmi(
  world: World,
  options: { readonly deadline: number; readonly fenceDeadline?: number },
): Promise<Pmi> {
  const { deadline, fenceDeadline = deadline } = options;
  const endpoint = world.pmi ?? { version: 1 };
  const wire = await openWire(endpoint, { launcher: world.launcher, rank: world.rank });
  const open = endpoint.version === 2 ? openPmi2 : openPmi1;
  const store = await open(wire, world, endpoint, deadline);
  return {
    kvsName: store.kvsName,
    maxValue: store.maxValue,
    put: (key, value) => putAll(store, key, value),
    fence: (within = fenceDeadline) => store.fence(within),
    get: (key) => getAll(store, key),
    finalize: async () => {
      await store.finalize();
      wire.close();
    },
    abort: store.abort,
  };
}

async function putAll(store: Store, key: string, text: string): Promise<void> {
  for (const [index, value] of split(text, store.maxValue).entries()) {
    await store.put(part(key, index), value);
  }
}

async function getAll(store: Store, key: string): Promise<string | undefined> {
  const first = await store.get(key);
  const count = first === undefined ? undefined : announced(first);
  if (first === undefined || count === undefined) return undefined;
  const values = [first];
  while (values.length < count) {
    const value = await store.get(part(key, values.length));
    if (value === undefined) return undefined;
    values.push(value);
  }
  return joined(values);
}

function part(key: string, index: number): string {
  return index === 0 ? key : `${key}.${index}`;
}
