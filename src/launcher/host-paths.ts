/**
 * Where the ranks of one host meet: a folder of this launch in the host's own temporary space. All ranks of a host find
 * the same path from their environment alone; this file is loaded by every rank and imports nothing.
 */
export interface HostPaths {
  /** `<temporary space>/tsdask-<uid>`, shared by a user's launches on this host. */
  readonly base: string;
  readonly folder: string;
  readonly socket: string;
  readonly forkSocket: string;
}

/** The longest path that Linux takes for a unix socket (`sun_path`), its closing zero left out. */
const longestSocketPath = 107;

/** The launch's folder on this host. `key` is any text that all ranks of the launch on this host share. */
export function hostPaths({
  key,
  tmpdir,
  uid,
}: {
  readonly key: string;
  readonly tmpdir: string | undefined;
  readonly uid: number;
}): HostPaths {
  const name = shortName(key);
  const wanted = `${(tmpdir ?? "/tmp").replace(/\/+$/, "") || "/tmp"}/tsdask-${uid}`;
  const base =
    wanted.length + name.length + 12 > longestSocketPath || !wanted.startsWith("/") ? `/tmp/tsdask-${uid}` : wanted;
  const folder = `${base}/${name}`;
  return { base, folder, socket: `${folder}/host.sock`, forkSocket: `${folder}/fork.sock` };
}

/**
 * 16 hexadecimal digits from any text: twice FNV-1a with 32 bits. A name, not a secret: the meeting itself checks who
 * it met.
 */
export function shortName(text: string): string {
  const hash = (start: number): string => {
    let value = start;
    for (let index = 0; index < text.length; index += 1)
      value = Math.imul(value ^ text.charCodeAt(index), 0x01000193) >>> 0;
    return value.toString(16).padStart(8, "0");
  };
  return hash(0x811c9dc5) + hash(0x9747b28c);
}
