import type { OptionKey } from "./options.ts";

/** `schedulerFile` → `scheduler-file`: the name on the command line (after `--`) and in YAML. */
export const kebab = (key: OptionKey): string => key.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`);

/** `scheduler-file` → `TSDASK_SCHEDULER_FILE`. */
export const variableOf = (word: string): string => `TSDASK_${word.replaceAll("-", "_").toUpperCase()}`;

/** `schedulerFile` → `TSDASK_SCHEDULER_FILE`. */
export const variable = (key: OptionKey): string => variableOf(kebab(key));
