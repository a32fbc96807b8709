/**
 * Why a port could not be had, for the message TSD-028. A file of its own: a scheduler's rank loads no more of
 * `ports.ts` than this.
 */
export const portWords = {
  taken: "another process listens there",
  reserved: "ports below 1024 are for the system's own services",
} as const;
