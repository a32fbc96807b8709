import { isMap, isScalar, LineCounter, parseDocument } from "yaml";
import { Failure } from "../errors/failure.ts";
import { SECTIONS, type ConfigFile, type FileValue, type Section } from "./config-file.ts";
import type { OptionKey } from "./options.ts";
import { nearest } from "./suggest.ts";
import { kebab } from "./option-names.ts";
import { optionKeys, table } from "./table.ts";
import { show, type Raw } from "./values.ts";

/**
 * Reads the text of a configuration file. Throws Failure TSD-009 (not YAML, or not plain data) and TSD-010 (a key that
 * is no option).
 */
export function parseFile(kind: "user" | "site", file: string, content: string): ConfigFile {
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
      plain = isScalar(value)
        ? scalarOf(value)
        : ((value as { toJS?: (doc: unknown) => unknown } | null)?.toJS?.(document) ?? null);
      isData = isPlain(plain);
    } catch (cause) {
      throw unreadable((cause as Error).message, line);
    }
    if (!isData)
      throw unreadable(`${name} has a YAML type that is neither text, number, yes/no, list nor mapping`, line);
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
}

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
  const negative = optionKeys.find(
    (key) => table[key].negative === name || table[key].negative === name.replaceAll("_", "-"),
  );
  const guess =
    negative === undefined ? nearest(name.replaceAll("_", "-"), [...optionKeys.map(kebab), ...SECTIONS]) : undefined;
  const suggestion =
    negative !== undefined
      ? `Write \`${kebab(negative)}: false\`. `
      : guess === undefined
        ? ""
        : `Did you mean \`${guess}\`? `;
  return new Failure("TSD-010", { file: show(file), line, key: show(name), suggestion });
};
