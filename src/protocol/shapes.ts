/**
 * The fields of messages, in each form, by the word that names the message; the types are those of fork-server.json.
 */
export type Shapes = Readonly<Record<string, readonly Readonly<Record<string, string>>[]>>;

/** The words of each enumeration. */
export type Enumerations = Readonly<Record<string, readonly string[]>>;

/**
 * Whether a value is a message of one of these shapes: its `tag` names one, and each field of one of its forms has its
 * type.
 */
export function isMessage(value: unknown, tag: string, shapes: Shapes, enumerations: Enumerations): boolean {
  if (typeof value !== "object" || value === null) return false;
  const message = value as Readonly<Record<string, unknown>>;
  const kind = message[tag];
  const forms = typeof kind === "string" && Object.hasOwn(shapes, kind) ? shapes[kind] : undefined;
  return (
    forms?.some((form) => Object.entries(form).every(([key, type]) => fits(message[key], type, enumerations))) ?? false
  );
}

function fits(value: unknown, type: string, enumerations: Enumerations): boolean {
  if (value === undefined) return type.includes("?");
  if (value === null) return type.endsWith("|null") || type.startsWith("json");
  const name = type.replace(/[?|].*$/, "");
  if (name.startsWith("=")) return value === name.slice(1);
  if (name === "json") return true;
  if (name === "int") return Number.isSafeInteger(value);
  if (name === "string[]") return Array.isArray(value) && value.every((item) => typeof item === "string");
  if (name === "pairs")
    return (
      Array.isArray(value) &&
      value.every((pair) => Array.isArray(pair) && pair.length === 2 && pair.every((item) => typeof item === "string"))
    );
  if (name === "object") return typeof value === "object" && !Array.isArray(value);
  if (name === "map")
    return typeof value === "object" && Object.values(value).every((item) => typeof item === "string");
  return enumerations[name]?.includes(value as string) ?? typeof value === name;
}
