import type { OptionKey } from "./options.ts";
import type { Raw } from "./values.ts";

/** Keys that hold a mapping of their own, read by the command of that name. */
export const SECTIONS = ["script"] as const;
export type Section = (typeof SECTIONS)[number];

/** One value of a file and the line it stands on; `null` means "back to the default". */
export interface FileValue {
  readonly raw: Raw | null;
  readonly line: number;
}

/** What a configuration file says. */
export interface ConfigFile {
  readonly kind: "user" | "site";
  readonly file: string;
  readonly values: ReadonlyMap<OptionKey, FileValue>;
  readonly sections: ReadonlyMap<Section, Readonly<Record<string, unknown>>>;
}
