/** The fields of messages, by the word that names each message; the types are those of fork-server.json. */
export type Shapes = Readonly<Record<string, Readonly<Record<string, string>>>>;

/** The words of each enumeration. */
export type Enumerations = Readonly<Record<string, readonly string[]>>;

/** Whether a value is a message of one of these shapes: its `tag` names one, and each of that one's fields has its type. */
export function isMessage(value: unknown, tag: string, shapes: Shapes, enumerations: Enumerations): boolean {
  if (typeof value !== "object" || value === null) return false;
  const message = value as Readonly<Record<string, unknown>>;
  const kind = message[tag];
  const shape = typeof kind === "string" && Object.hasOwn(shapes, kind) ? shapes[kind] : undefined;
  return shape !== undefined && Object.entries(shape).every(([key, type]) => fits(message[key], type, enumerations));
}

function fits(value: unknown, type: string, enumerations: Enumerations): boolean {
  if (value === undefined) return type.includes("?");
  if (value === null) return type.endsWith("|null") || type.startsWith("json");
  const name = type.replace(/[?|].*$/, "");
  if (name === "json") return true;
  if (name === "int") return Number.isSafeInteger(value);
  if (name === "string[]") return Array.isArray(value) && value.every((item) => typeof item === "string");
  if (name === "pairs")
    return (
      Array.isArray(value) &&
      value.every((pair) => Array.isArray(pair) && pair.length === 2 && pair.every((item) => typeof item === "string"))
    );
  if (name === "map")
    return typeof value === "object" && Object.values(value).every((item) => typeof item === "string");
  return enumerations[name]?.includes(value as string) ?? typeof value === name;
}
