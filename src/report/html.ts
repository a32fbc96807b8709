/** Text that is HTML already. */
export class Html {
  readonly text: string;
  constructor(text: string) {
    this.text = text;
  }
}

type Part = string | number | Html | readonly Html[];

/** A template of HTML whose values are escaped, unless they are HTML themselves. */
export function html(texts: TemplateStringsArray, ...values: readonly Part[]): Html {
  return new Html(texts.map((text, index) => (index === 0 ? text : partText(values[index - 1] ?? "") + text)).join(""));
}

function partText(value: Part): string {
  if (value instanceof Html) return value.text;
  if (typeof value === "object") return value.map(({ text }) => text).join("");
  return escaped(String(value));
}

/**
 * Text in which no character means anything to HTML, within an attribute's quotes neither; what would not be seen
 * becomes a mark.
 */
export function escaped(text: string): string {
  return text.replace(/[^\P{C}\n\t]/gu, "\uFFFD").replace(/[&<>"']/g, (sign) => `&#${sign.charCodeAt(0)};`);
}

export const nothing = new Html("");
