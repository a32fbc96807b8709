/** Types of file systems (statfs(2), linux/magic.h; those outside of the kernel by coreutils' table of them) by name. */
const names: Readonly<Record<number, string>> = {
  61267: "ext4",
  1481003842: "xfs",
  2435016766: "btrfs",
  801189825: "zfs",
  16914836: "tmpfs (memory)",
  2240043254: "ramfs (memory)",
  2035054128: "overlay",
  26985: "NFS",
  198183888: "Lustre",
  1196443219: "GPFS",
  16914839: "9p",
  1702057286: "FUSE",
  4283649346: "SMB",
  4266872130: "SMB",
  12805120: "Ceph",
  428016422: "BeeGFS",
};

const shared: ReadonlySet<string> = new Set(["NFS", "Lustre", "GPFS", "SMB", "Ceph", "BeeGFS"]);

/** A file system's name by its type, else the type itself. */
export const fileSystemName = (type: number): string => names[type] ?? `file system 0x${type.toString(16)}`;

/** Whether hosts share it, as a rule. */
export const isShared = (type: number): boolean => shared.has(names[type] ?? "");
