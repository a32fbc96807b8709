import { readFileSync, statSync } from "node:fs";
import { isAbsolute, join } from "node:path";
import { Failure } from "../failure.ts";
import type { OptionKey } from "./options.ts";
import { nearest } from "./suggest.ts";
import { kebab, optionKeys, table } from "./table.ts";
import { show, type Raw } from "./values.ts";

export const SITE_FILE = "/etc/tsdask-mpi.yaml";
/** Keys that hold a mapping of their own, read by the command of that name. */
export const SECTIONS = ["script"] as const;
export type Section = (typeof SECTIONS)[number];

const MOST_BYTES = 1_000_000;

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

/** Where a file is looked for, and whether its absence is an error. */
export interface ConfigPlace {
  readonly kind: "user" | "site";
  readonly file: string;
  readonly mustExist: boolean;
}

export interface ConfigPlaces {
  readonly env: NodeJS.ProcessEnv;
  readonly home: string;
  readonly userFile?: string | undefined;
  readonly siteFile?: string | undefined;
}

/**
 * The user's and the site's file, those that exist, the user's first.
 * Throws Failure TSD-009 (cannot be read, or not YAML) and TSD-010 (a key that is no option), with file and line.
 */
export async function readConfigFiles(places: ConfigPlaces): Promise<readonly ConfigFile[]> {
  const files: ConfigFile[] = [];
  for (const { kind, file, mustExist } of configPlaces(places)) {
    const content = readText(file, mustExist);
    if (content !== undefined && content.trim() !== "") files.push(await parseFile(kind, file, content));
  }
  return files;
}

/** Where the two files are looked for; a site file that a variable names must exist. */
export function configPlaces({ env, home, userFile, siteFile }: ConfigPlaces): readonly ConfigPlace[] {
  const xdg = env["XDG_CONFIG_HOME"] ?? "";
  const folder = isAbsolute(xdg) ? xdg : join(home, ".config");
  const named = env["TSDASK_SITE_CONFIG"] || undefined;
  return [
    { kind: "user", file: userFile ?? join(folder, "tsdask-mpi.yaml"), mustExist: userFile !== undefined },
    { kind: "site", file: siteFile ?? named ?? SITE_FILE, mustExist: (siteFile ?? named) !== undefined },
  ];
}

const readText = (file: string, mustExist: boolean): string | undefined => {
  try {
    const about = statSync(file);
    if (!about.isFile()) throw new Error("it is not a file");
    if (about.size > MOST_BYTES) throw new Error(`it is larger than ${MOST_BYTES} bytes`);
    return readFileSync(file, "utf8");
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code;
    if (!mustExist && (code === "ENOENT" || code === "ENOTDIR")) return undefined;
    throw new Failure("TSD-009", { file: show(file), line: "", problem: show((error as Error).message) }, { cause: error });
  }
};

const parseFile = async (kind: "user" | "site", file: string, content: string): Promise<ConfigFile> => {
  const { isMap, isScalar, LineCounter, parseDocument } = await import("yaml");
  const lines = new LineCounter();
  const unreadable = (problem: string, line: number | ""): Failure =>
    new Failure("TSD-009", { file: show(file), line: line === "" ? "" : `, line ${line}`, problem: show(problem) });
  const document = parseDocument(content, { lineCounter: lines, prettyErrors: false });
  const error = document.errors[0];
  if (error) throw unreadable(error.message, lines.linePos(error.pos[0]).line);
  if (document.contents === null || (isScalar(document.contents) && document.contents.value === null)) {
    return { kind, file, values: new Map(), sections: new Map() };
  }
  if (!isMap(document.contents)) throw unreadable("it is not a mapping of options, `name: value`", 1);

  const values = new Map<OptionKey, FileValue>();
  const sections = new Map<Section, Readonly<Record<string, unknown>>>();
  for (const { key, value } of document.contents.items) {
    const name = isScalar(key) ? String(key.value) : String(key);
    const position = isScalar(key) ? (key.range?.[0] ?? 0) : 0;
    const line = lines.linePos(position).line;
    let plain: unknown;
    let isData: boolean;
    try {
      plain = isScalar(value) ? scalarOf(value) : ((value as { toJS?: (doc: unknown) => unknown } | null)?.toJS?.(document) ?? null);
      isData = isPlain(plain);
    } catch (cause) {
      throw unreadable((cause as Error).message, line);
    }
    if (!isData) throw unreadable(`${name} has a YAML type that is neither text, number, yes/no, list nor mapping`, line);
    const section = SECTIONS.find((known) => known === name);
    const option = optionKeys.find((known) => kebab(known) === name);
    if (section !== undefined) {
      if (typeof plain !== "object" || Array.isArray(plain)) throw unreadable(`${name} is not a mapping`, line);
      sections.set(section, (plain ?? {}) as Readonly<Record<string, unknown>>);
    } else if (option !== undefined) {
      values.set(option, { raw: plain as Raw | null, line });
    } else {
      throw unknownKey(file, line, name);
    }
  }
  return { kind, file, values, sections };
};

/** Plain scalars as they were written (`007`, `1:30:00`), so that files and command lines are read alike. */
const scalarOf = (node: { value: unknown; source?: string | undefined; type?: unknown }): Raw | null => {
  if (node.value === null) return null;
  return typeof node.value === "number" ? (node.source ?? node.value) : (node.value as Raw);
};

/** Data as JSON has it: no dates, sets or bytes, which YAML's tags can make. */
const isPlain = (value: unknown): boolean => {
  if (typeof value !== "object" || value === null) return value !== undefined && typeof value !== "bigint";
  if (Array.isArray(value)) return value.every(isPlain);
  return Object.getPrototypeOf(value) === Object.prototype && Object.values(value).every(isPlain);
};

const unknownKey = (file: string, line: number, name: string): Failure => {
  const negative = optionKeys.find((key) => table[key].negative === name || table[key].negative === name.replaceAll("_", "-"));
  const guess = negative === undefined ? nearest(name.replaceAll("_", "-"), [...optionKeys.map(kebab), ...SECTIONS]) : undefined;
  const suggestion =
    negative !== undefined ? `Write \`${kebab(negative)}: false\`. ` : guess === undefined ? "" : `Did you mean \`${guess}\`? `;
  return new Failure("TSD-010", { file: show(file), line, key: show(name), suggestion });
};
