/** A text that the user put where the mark goes, with the mark behind it. Pure. */
export const withMark = (text: string | undefined, mark: string): string =>
  text === undefined || text === "" ? mark : `${text} ${mark}`;

/** What a script's directive says: the first group of `pattern` that matches. Pure. */
export function directiveIn(text: string, pattern: RegExp): string | undefined {
  return pattern
    .exec(text)
    ?.slice(1)
    .find((found) => found !== undefined);
}
