/** The columns of the table in docs/batch/README.md, in their order. */
export const features = [
  "script",
  "array",
  "notebook",
  "join",
  "scale",
  "adapt",
  "drain",
  "limits",
  "accounting",
  "reasons",
] as const;
export type Feature = (typeof features)[number];

interface System {
  readonly name: string;
  readonly page: string;
  /** What is not there, and why. */
  readonly cannot?: Readonly<Partial<Record<Feature, string>>>;
}

/** Its rows, in their order. */
const systems = {
  slurm: { name: "Slurm", page: "slurm.md" },
  pbs: { name: "PBS, TORQUE", page: "pbs.md" },
  sge: { name: "Grid Engine", page: "sge.md" },
  lsf: { name: "LSF", page: "lsf.md" },
  flux: { name: "Flux", page: "flux.md", cannot: { array: "Flux has none", reasons: "not asked for" } },
  htcondor: { name: "HTCondor", page: "htcondor.md" },
  kubernetes: {
    name: "Kubernetes",
    page: "kubernetes.md",
    cannot: { array: "an MPIJob is one job", drain: "a pod has no end that it is told", reasons: "not asked for" },
  },
} as const satisfies Readonly<Record<string, System>>;
export type SystemName = keyof typeof systems;

/**
 * A feature under a batch system that a test has seen to work: on a real one of this version, or, without one, with
 * recorded answers.
 */
export interface Seen {
  readonly system: SystemName;
  readonly feature: Feature;
  readonly version?: string;
}

/** The cells by system and feature. */
export type Cells = ReadonlyMap<string, string>;

const rows = Object.entries(systems) as readonly (readonly [SystemName, System])[];
const key = (system: SystemName, feature: Feature): string => `${system} ${feature}`;
const cellsOf = (line: string): readonly string[] =>
  line
    .split("|")
    .slice(1, -1)
    .map((cell) => cell.trim());

/** The cells of the table in a page; one without the table has none. */
export function readTable(page: string): Cells {
  const lines = page.split("\n");
  return new Map(
    rows.flatMap(([system, { name, page: link }]) => {
      const [, ...cells] = cellsOf(lines.find((line) => line.startsWith(`| [${name}](${link}) |`)) ?? "");
      return cells.map((cell, index) => [key(system, features[index] ?? "script"), cell] as const);
    }),
  );
}

/**
 * What the table must say: where all tests ran, what they saw and nothing else; after a part of them, what it saw, and
 * what it did not look at as it was. A real one counts for more than recorded answers.
 */
export function wantedCells(before: Cells, seen: readonly Seen[], { all }: { readonly all: boolean }): Cells {
  return new Map(
    rows.flatMap(([system, { cannot }]) =>
      features.map((feature) => {
        const of = seen.filter((one) => one.system === system && one.feature === feature);
        const was = before.get(key(system, feature)) ?? "";
        const version = of.find((one) => one.version !== undefined)?.version;
        const cell = (): string => {
          if (version !== undefined) return `run on ${version}`;
          if (of.length > 0) return !all && was.startsWith("run on ") ? was : "recorded";
          if (cannot?.[feature] !== undefined) return `cannot: ${cannot[feature]}`;
          return all || was === "" ? "by documentation" : was;
        };
        return [key(system, feature), cell()] as const;
      }),
    ),
  );
}

/** A sentence for each cell that says something else than it must. */
export function differences(before: Cells, wanted: Cells): readonly string[] {
  return [...wanted].flatMap(([name, cell]) => {
    const was = before.get(name) ?? "nothing";
    return was === cell ? [] : [`${name}: the table says "${was}", the tests say "${cell}"`];
  });
}

/** The page with these cells in its table. */
export function withTable(page: string, cells: Cells): string {
  const line = (words: readonly string[]): string => `| ${words.join(" | ")} |`;
  const text = [
    line(["", ...features]),
    line(["", ...features].map(() => "---")),
    ...rows.map(([system, { name, page: link }]) =>
      line([`[${name}](${link})`, ...features.map((feature) => cells.get(key(system, feature)) ?? "")]),
    ),
  ];
  const lines = page.split("\n");
  const first = lines.findIndex((one) => one.startsWith("|"));
  const count = lines.slice(first).findIndex((one) => !one.startsWith("|"));
  return [...lines.slice(0, first), ...text, ...lines.slice(first + count)].join("\n");
}
