/**
 * Control characters (C0, DEL, C1), and those that turn the direction of text or are line ends of Unicode's (UAX #9,
 * UAX #14); not the newline and the tab.
 */
const controls = /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]/g;

/**
 * Text from a file or a peer as it may stand on a terminal: whatever would steer the terminal, or hide what is written,
 * is shown as `\u001b`.
 */
export function visible(text: string): string {
  return text.replace(controls, (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, "0")}`);
}

/** As `visible`, for what must stay in one line. */
export function visibleLine(text: string): string {
  return visible(text).replaceAll("\n", "\\n").replaceAll("\t", "\\t");
}
