// Writes the types and validators of both languages from src/protocol/fork-server.json, and Python's deadlines from src/deadlines.ts.
// Usage: node scripts/contract.mjs   (npm run contract); test/protocol/contract.test.ts holds the files to it.
import { readFileSync, writeFileSync } from "node:fs";
import { pythonDeadlines } from "../src/deadlines.ts";

const from = (path) => new URL(`../${path}`, import.meta.url);
const contract = JSON.parse(readFileSync(from("src/protocol/fork-server.json"), "utf8"));
const { enumerations, messages, version } = contract;

/** `int?|null` taken apart. */
function typeOf(text) {
  const [, name, optional, nullable] = /^([\w-]+(?:\[\])?)(\?)?(\|null)?$/.exec(text) ?? [];
  const known = [
    "string",
    "int",
    "number",
    "boolean",
    "json",
    "string[]",
    "pairs",
    "map",
    ...Object.keys(enumerations),
  ];
  if (!known.includes(name)) throw new Error(`fork-server.json: ${text} is no type`);
  return { name, optional: optional !== undefined, nullable: nullable !== undefined };
}

const tsNames = {
  string: "string",
  int: "number",
  number: "number",
  boolean: "boolean",
  json: "unknown",
  "string[]": "readonly string[]",
  pairs: "readonly (readonly [string, string])[]",
  map: "Readonly<Record<string, string>>",
};
const pyNames = {
  string: "str",
  int: "int",
  number: "float",
  boolean: "bool",
  json: "Any",
  "string[]": "list[str]",
  pairs: "list[tuple[str, str]]",
  map: "dict[str, str]",
};

function tsField([key, text]) {
  const { name, optional, nullable } = typeOf(text);
  return `readonly ${key}${optional ? "?" : ""}: ${tsNames[name] ?? name}${nullable ? " | null" : ""}`;
}

function tsMessage([name, { about, tag, kinds }]) {
  const union = Object.entries(kinds).map(
    ([kind, fields]) =>
      `  | { ${[`readonly ${tag}: ${JSON.stringify(kind)}`, ...Object.entries(fields).map(tsField)].join("; ")} }`,
  );
  const shapes = Object.entries(kinds).map(([kind, fields]) => `  ${JSON.stringify(kind)}: ${JSON.stringify(fields)},`);
  const table = `${name[0].toLowerCase()}${name.slice(1)}s`;
  return `/** ${about} */
export type ${name} =
${union.join("\n")};

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

const enumerations: Enumerations = {
${tables.join("\n")}
};

${Object.entries(messages).map(tsMessage).join("\n\n")}
`;
}

const className = (message, kind) =>
  `${message}${kind
    .split("-")
    .map((word) => word[0].toUpperCase() + word.slice(1))
    .join("")}`;

function pyField([key, text]) {
  const { name, optional, nullable } = typeOf(text);
  const type = `${pyNames[name] ?? name}${nullable ? " | None" : ""}`;
  return `    ${key}: ${optional ? `NotRequired[${type}]` : type}`;
}

function pyMessage([name, { about, tag, kinds }]) {
  const classes = Object.entries(kinds).map(
    ([kind, fields]) =>
      `class ${className(name, kind)}(TypedDict):\n${[`    ${tag}: Literal["${kind}"]`, ...Object.entries(fields).map(pyField)].join("\n")}\n`,
  );
  const union = Object.keys(kinds).map((kind) => className(name, kind));
  return `${classes.join("\n\n")}\n\n#: ${about}\n${name} = Union[${union.join(", ")}]`;
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


${Object.entries(messages).map(pyMessage).join("\n\n\n")}
`;
}

if (process.argv[1] === import.meta.filename) {
  writeFileSync(from("src/protocol/fork-server.ts"), typescript());
  writeFileSync(from("python/tsdask_mpi/contract.py"), python());
}
