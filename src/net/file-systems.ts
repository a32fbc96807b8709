/**
 * A file system's name, and whether one host has it, or several share it, as a rule; neither where it may be either
 * way.
 */
interface FileSystem {
  readonly name: string;
  readonly hosts?: "one" | "several";
  readonly memory?: true;
}

/** By type: statfs(2), linux/magic.h; those outside of the kernel by coreutils' table of them. */
const fileSystems: Readonly<Record<number, FileSystem>> = {
  61267: { name: "ext4", hosts: "one" },
  1481003842: { name: "xfs", hosts: "one" },
  2435016766: { name: "btrfs", hosts: "one" },
  801189825: { name: "zfs" },
  4076150800: { name: "f2fs", hosts: "one" },
  16914836: { name: "tmpfs", hosts: "one", memory: true },
  2240043254: { name: "ramfs", hosts: "one", memory: true },
  2035054128: { name: "overlay", hosts: "one" },
  26985: { name: "NFS", hosts: "several" },
  198183888: { name: "Lustre", hosts: "several" },
  1196443219: { name: "GPFS", hosts: "several" },
  16914839: { name: "9p" },
  1702057286: { name: "FUSE" },
  4283649346: { name: "SMB", hosts: "several" },
  4266872130: { name: "SMB", hosts: "several" },
  12805120: { name: "Ceph", hosts: "several" },
  428016422: { name: "BeeGFS", hosts: "several" },
};

/** What is known of a file system by its type. */
export const fileSystem = (type: number): FileSystem | undefined => fileSystems[type];

/** A file system's name by its type, with a word for one in memory; else the type itself. */
export function fileSystemName(type: number): string {
  const known = fileSystem(type);
  return known === undefined ? `file system 0x${type.toString(16)}` : `${known.name}${known.memory ? " (memory)" : ""}`;
}

/** Whether hosts share it, as a rule. */
export const isShared = (type: number): boolean => fileSystem(type)?.hosts === "several";
