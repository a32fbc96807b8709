import fc from "fast-check";

/** Set by `npm run fuzz -- --runs N --seed S`; without it a run is short, and the same every time. */
const runs = runsOr(150);
export const seed = Number(process.env["TSDASK_FUZZ_SEED"] ?? 20_261_121);

/** How many runs a property has, where it has another number than most. */
export function runsOr(usual: number): number {
  return Number(process.env["TSDASK_FUZZ_RUNS"] ?? usual);
}

/** How long one property may take, in ms: the long run is given what it asks for. */
export const patience = 100_000 + runs * 100;

/**
 * Checks a property on `runs` random inputs from `seed`; what fails is shrunk and told with its seed and path, to be
 * kept as an example.
 */
export async function holds<T>(
  inputs: fc.Arbitrary<T>,
  property: (input: T) => void | Promise<void>,
  examples: readonly T[] = [],
): Promise<void> {
  await fc.assert(
    fc.asyncProperty(inputs, async (input) => {
      await property(input);
    }),
    { seed, numRuns: runs, examples: examples.map((one): [T] => [one]) },
  );
}

/** Text that looks like what is expected, cut, doubled and strewn with what is special. */
export function near(pieces: readonly string[]): fc.Arbitrary<string> {
  const special = fc.constantFrom(
    ...pieces,
    "\n",
    "\t",
    "\0",
    "[",
    "]",
    "{",
    "}",
    ",",
    ":",
    "-",
    '"',
    "'",
    "__proto__",
    "constructor",
    "999999999",
    "-1",
    "1e999",
  );
  return fc
    .array(
      fc.oneof(
        { weight: 6, arbitrary: special },
        { weight: 1, arbitrary: fc.string({ unit: "binary", maxLength: 8 }) },
      ),
      { maxLength: 60 },
    )
    .map((parts) => parts.join(""));
}

/** JSON-like values, some with the keys and values of `samples` in other places. */
export function values(samples: readonly object[]): fc.Arbitrary<unknown> {
  const known = samples.flatMap((sample) => Object.entries(sample));
  const value = fc.oneof(fc.jsonValue(), fc.constantFrom(...known.map(([, inner]) => inner as unknown)));
  const changed = fc
    .tuple(
      fc.constantFrom(...samples),
      fc.dictionary(fc.constantFrom("__proto__", ...known.map(([name]) => name)), value, { maxKeys: 3 }),
    )
    .map(([sample, change]) => ({ ...sample, ...change }));
  return fc.oneof(fc.jsonValue(), changed);
}
