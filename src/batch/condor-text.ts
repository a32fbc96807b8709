/**
 * Text inside both quotes of the new syntax of `arguments` and `environment` (condor_submit(1)), each doubled. A `$`
 * could start a macro or a function of the submit file, and `$$(` one that is filled in when a machine is matched: both
 * have a macro of their own that stands for the plain characters ("Macros" there). Pure.
 */
export function condorText(text: string): string {
  const quotes = text.replaceAll("'", "''").replaceAll('"', '""');
  return quotes.replace(/\$\$(?=\()|\$/g, (dollars) => (dollars === "$" ? "$(DOLLAR)" : "$$(DOLLARDOLLAR)"));
}
