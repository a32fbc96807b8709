// Writes the types and validators of both languages from src/protocol/fork-server.json, and Python's deadlines from
// src/deadlines.ts.
// Usage: node scripts/contract.mjs   (npm run contract); test/protocol/contract.test.ts holds the files to it.
import { readFileSync, writeFileSync } from "node:fs";
import { pythonDeadlines } from "../src/deadlines.ts";

const from = (path) => new URL(`../${path}`, import.meta.url);
const contract = JSON.parse(readFileSync(from("src/protocol/fork-server.json"), "utf8"));
const { enumerations, records, messages, version } = contract;

const tsNames = {
  string: "string",
  int: "number",
  number: "number",
  boolean: "boolean",
  json: "unknown",
  object: "Readonly<Record<string, unknown>>",
  "string[]": "readonly string[]",
  "string[][]": "readonly (readonly string[])[]",
  pairs: "readonly (readonly [string, string])[]",
  map: "Readonly<Record<string, string>>",
};
const pyNames = {
  string: "str",
  int: "int",
  number: "float",
  boolean: "bool",
  json: "Any",
  object: "dict[str, Any]",
  "string[]": "list[str]",
  "string[][]": "list[list[str]]",
  pairs: "list[tuple[str, str]]",
  map: "dict[str, str]",
};
const known = new Set([...Object.keys(tsNames), ...Object.keys(enumerations), ...Object.keys(records)]);

/** `int?|null` taken apart. */
function typeOf(text) {
  const [, literal, name, optional, nullable] = /^(=)?([\w-]+(?:\[\])*)(\?)?(\|null)?$/.exec(text) ?? [];
  if (name === undefined || (literal === undefined && !known.has(name)))
    throw new Error(`fork-server.json: ${text} is no type`);
  return { name, literal: literal !== undefined, optional: optional !== undefined, nullable: nullable !== undefined };
}

/** The forms of one kind of message: most have one. */
const formsOf = (fields) => (Array.isArray(fields) ? fields : [fields]);

/** All fields of a form, those of the record that it names among them. */
const whole = ({ "...": common, ...fields }) => ({ ...records[common], ...fields });

function tsField([key, text]) {
  const { name, literal, optional, nullable } = typeOf(text);
  const type = literal ? JSON.stringify(name) : (tsNames[name] ?? name);
  return `readonly ${key}${optional ? "?" : ""}: ${type}${nullable ? " | null" : ""}`;
}

function tsRecord([name, { "...": common, ...fields }]) {
  return `export interface ${name} ${common === undefined ? "" : `extends ${common} `}{\n${Object.entries(fields)
    .map((field) => `  ${tsField(field)};`)
    .join("\n")}\n}`;
}

function tsMessage([name, { about, reader, tag, kinds }]) {
  const union = Object.entries(kinds).flatMap(([kind, fields]) =>
    formsOf(fields).map(({ "...": common, ...own }) => {
      const text = [`readonly ${tag}: ${JSON.stringify(kind)}`, ...Object.entries(own).map(tsField)].join("; ");
      return common === undefined ? `  | { ${text} }` : `  | (${common} & { ${text} })`;
    }),
  );
  const type = `/** ${about} */\nexport type ${name} =\n${union.join("\n")};`;
  if (reader === "python") return type;
  const shapes = Object.entries(kinds).map(
    ([kind, fields]) => `  ${JSON.stringify(kind)}: ${JSON.stringify(formsOf(fields).map(whole))},`,
  );
  const table = `${name[0].toLowerCase()}${name.slice(1)}s`;
  return `${type}

const ${table}: Shapes = {
${shapes.join("\n")}
};

/** The value as a message of this kind; undefined when it is none. */
export const accept${name} = (value: unknown): ${name} | undefined =>
  (isMessage(value, ${JSON.stringify(tag)}, ${table}, enumerations) ? value : undefined) as ${name} | undefined;`;
}

/** src/protocol/fork-server.ts. */
export function typescript() {
  const enums = Object.entries(enumerations).map(
    ([name, words]) => `export type ${name} = ${words.map((word) => JSON.stringify(word)).join(" | ")};`,
  );
  const tables = Object.entries(enumerations).map(([name, words]) => `  ${name}: ${JSON.stringify(words)},`);
  return `// Made from fork-server.json by \`npm run contract\`: change that file, not this one.
import { isMessage, type Enumerations, type Shapes } from "./shapes.ts";

/** The version of these messages, in the fork server's greeting. */
export const forkServerVersion = ${version};

${enums.join("\n")}

export const enumerations: Enumerations = {
${tables.join("\n")}
};

${Object.entries(records).map(tsRecord).join("\n\n")}

${Object.entries(messages).map(tsMessage).join("\n\n")}
`;
}

const upper = (words) =>
  words
    .split("-")
    .map((word) => word[0].toUpperCase() + word.slice(1))
    .join("");

/**
 * The name of a form's class: the message's, the kind's, and of a kind that has more forms the word that tells them
 * apart.
 */
function className(message, kind, form, forms) {
  const word = forms > 1 ? Object.values(form).find((text) => text.startsWith("=")) : undefined;
  return `${message}${upper(kind)}${word === undefined ? "" : upper(word.slice(1))}`;
}

function pyField([key, text]) {
  const { name, literal, optional, nullable } = typeOf(text);
  const type = `${literal ? `Literal["${name}"]` : (pyNames[name] ?? name)}${nullable ? " | None" : ""}`;
  return [key, optional ? `NotRequired[${type}]` : type];
}

function pyTyped(name, fields, common = "TypedDict") {
  return `class ${name}(${common}):\n${fields.map(([key, type]) => `    ${key}: ${type}`).join("\n")}\n`;
}

function pyMessage([name, { about, tag, kinds }]) {
  const forms = Object.entries(kinds).flatMap(([kind, fields]) =>
    formsOf(fields).map((form, _, { length }) => ({ kind, form, called: className(name, kind, form, length) })),
  );
  const classes = forms.map(({ kind, form: { "...": common, ...fields }, called }) =>
    pyTyped(called, [[tag, `Literal["${kind}"]`], ...Object.entries(fields).map(pyField)], common),
  );
  return `${classes.join("\n\n")}\n\n#: ${about}\n${name} = Union[${forms.map(({ called }) => called).join(", ")}]`;
}

/** python/tsdask_mpi/contract.py. */
export function python() {
  const enums = Object.entries(enumerations).map(
    ([name, words]) => `${name} = Literal[${words.map((word) => JSON.stringify(word)).join(", ")}]`,
  );
  const seconds = Object.entries(pythonDeadlines).map(
    ([name, ms]) => `${name.replace(/[A-Z]/g, (letter) => `_${letter}`).toUpperCase()}_SECONDS = ${ms / 1000}`,
  );
  return `"""Made from src/protocol/fork-server.json and src/deadlines.ts by \`npm run contract\`: change those, not this file."""
# ruff: noqa: UP007
# fmt: off

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, TypedDict, Union

if TYPE_CHECKING:
    from typing_extensions import NotRequired

VERSION = ${version}

${seconds.join("\n")}

${enums.join("\n")}


${Object.entries(records)
  .map(([name, { "...": common, ...fields }]) => pyTyped(name, Object.entries(fields).map(pyField), common))
  .join("\n\n")}

${Object.entries(messages).map(pyMessage).join("\n\n\n")}
`;
}

if (process.argv[1] === import.meta.filename) {
  writeFileSync(from("src/protocol/fork-server.ts"), typescript());
  writeFileSync(from("python/tsdask_mpi/contract.py"), python());
}
