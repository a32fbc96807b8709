const hidden = "[hidden]";
const secretKey = /token|secret|passw|passphrase|cookie|authorization|credential|private|^(key|pem)s?$/i;
/** `keyPem`, `tls_key`, `TLS_KEY`, but not `monkey`. */
const endsInKey = /(_(key|pem)|_(KEY|PEM)|Key|Pem)s?$/;
/** File names are no secrets, and a log without them is of little use. */
const namesAFile = /(file|path|dir|folder)s?$/i;
const secretInText =
  /([?&](?:token|key|secret)=)[^&\s"']+|(\b(?:bearer|token)\s+)[\w.~+/-]{8,}=*|-----BEGIN [A-Z ]*PRIVATE KEY-----[\s\S]*?(?:-----END [A-Z ]*PRIVATE KEY-----|$)/gi;
const depthLimit = 8;
const listLimit = 1000;

/**
 * A copy of `value` that may be written to a log: values under keys that name a secret (`token`, `secret`, `key`,
 * `password`, …) become `[hidden]`, so do tokens and private keys inside text. Errors, bytes, big integers and cycles
 * become something JSON can hold.
 */
export function redact(value: unknown, depth = 0, above: readonly object[] = []): unknown {
  if (typeof value === "string") return redactText(value);
  if (typeof value === "bigint") return String(value);
  if (typeof value === "function" || typeof value === "symbol") return undefined;
  if (typeof value !== "object" || value === null) return value;
  if (above.includes(value) || depth >= depthLimit) return "[deep]";
  const inside = (part: unknown): unknown => redact(part, depth + 1, [...above, value]);
  if (value instanceof Error) {
    const { name, message, code, stack } = value as NodeJS.ErrnoException;
    return {
      name,
      message: redactText(message),
      ...(code === undefined ? {} : { code }),
      ...(stack === undefined ? {} : { stack: redactText(stack) }),
    };
  }
  if (value instanceof Date || value instanceof URL)
    return redactText(value instanceof Date ? value.toJSON() : String(value));
  if (ArrayBuffer.isView(value)) return `[${value.byteLength} bytes]`;
  if (value instanceof Map) return inside(Object.fromEntries(value));
  if (value instanceof Set) return inside([...value]);
  if (Array.isArray(value)) return value.slice(0, listLimit).map(inside);
  return Object.fromEntries(
    Object.entries(value).map(([key, part]) => [key, isSecret(key, part) ? hidden : inside(part)]),
  );
}

function isSecret(key: string, value: unknown): boolean {
  return (
    value !== undefined &&
    value !== null &&
    typeof value !== "boolean" &&
    (secretKey.test(key) || endsInKey.test(key)) &&
    !namesAFile.test(key)
  );
}

/** Text without the tokens, bearer headers and private keys in it. */
export function redactText(text: string): string {
  return text.replace(secretInText, (_, query?: string, scheme?: string) => `${query ?? scheme ?? ""}${hidden}`);
}
