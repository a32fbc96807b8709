// Draws what bench/startup.ts measured. Usage: node bench/startup-chart.ts [bench/results/startup.json
// [docs/startup.svg]]
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { projectRoot } from "../test/integration/bed/command.ts";

interface Row {
  readonly peer: string;
  readonly title: string;
  readonly ranks: number;
  readonly workers?: { readonly median: number; readonly min: number; readonly max: number };
}

interface Measured {
  readonly machine: { readonly cores: number; readonly cpu: string; readonly date: string };
  readonly python: Readonly<Record<string, string>>;
  readonly runs: number;
  readonly results: readonly Row[];
}

const size = { width: 880, height: 440 };
const plot = { left: 56, right: 580, top: 64, bottom: 388 };
const colours: Readonly<Record<string, string>> = {
  "dask-mpi": "#c2410c",
  "dask-mpi-worker": "#d97706",
  "by-hand": "#7c3aed",
  "slurm-runner": "#0e7490",
  "ours-exec": "#4d7c0f",
  ours: "#1d4ed8",
  floor: "#737373",
};
/** The least distance of two labels' baselines. */
const lineHeight = 19;

/**
 * Draws seconds to all workers over ranks, a line for each peer, from a JSON file of bench/startup.ts into an SVG file;
 * returns its path.
 */
export function drawStartup(path: string, target: string): string {
  const measured = JSON.parse(readFileSync(path, "utf8")) as Measured;
  const sizes = [...new Set(measured.results.map(({ ranks }) => ranks))].sort((a, b) => a - b);
  const known = measured.results.filter((row) => row.workers !== undefined);
  const top = niceTop(Math.max(...known.map((row) => row.workers?.median ?? 0)));
  const x = (ranks: number): number =>
    plot.left + ((plot.right - plot.left) * sizes.indexOf(ranks)) / Math.max(1, sizes.length - 1);
  const y = (seconds: number): number => plot.bottom - ((plot.bottom - plot.top) * seconds) / top;

  const series = [...new Set(known.map(({ peer }) => peer))].map((peer) => {
    const rows = known.filter((row) => row.peer === peer).sort((a, b) => a.ranks - b.ranks);
    const last = rows.at(-1) as Row;
    return { peer, rows, title: last.title, seconds: last.workers?.median ?? 0 };
  });
  const places = spreadOut(series.map(({ seconds }) => y(seconds)));

  const grid = [0, 1, 2, 3, 4].map((step) => {
    const seconds = (top * step) / 4;
    return (
      `<line x1="${plot.left}" y1="${y(seconds)}" x2="${plot.right}" y2="${y(seconds)}" stroke="#e5e5e5"/>` +
      text(plot.left - 8, y(seconds) + 4, String(seconds), { anchor: "end", colour: "#525252" })
    );
  });
  const ticks = sizes.map((ranks) =>
    text(x(ranks), plot.bottom + 20, String(ranks), { anchor: "middle", colour: "#525252" }),
  );
  const lines = series.map(({ peer, rows, title, seconds }, index) => {
    const colour = colours[peer] ?? "#404040";
    const points = rows.map((row) => `${x(row.ranks).toFixed(1)},${y(row.workers?.median ?? 0).toFixed(1)}`);
    const dash = peer === "floor" ? ' stroke-dasharray="5 4"' : "";
    const label = places[index] ?? 0;
    return [
      `<polyline points="${points.join(" ")}" fill="none" stroke="${colour}" stroke-width="${peer === "ours" ? 3.5 : 2}"${dash}/>`,
      ...rows.map(
        (row) =>
          `<circle cx="${x(row.ranks).toFixed(1)}" cy="${y(row.workers?.median ?? 0).toFixed(1)}" r="${peer === "ours" ? 4 : 3}" fill="${colour}"/>`,
      ),
      `<line x1="${plot.right + 6}" y1="${y(seconds).toFixed(1)}" x2="${plot.right + 18}" y2="${(label - 4).toFixed(1)}" stroke="${colour}"/>`,
      text(plot.right + 22, label, `${seconds.toFixed(1)} s  ${title}`, {
        colour,
        weight: peer === "ours" ? "bold" : "normal",
      }),
    ].join("\n");
  });

  const { cores, cpu } = measured.machine;
  const under = `Dask ${measured.python["dask"] ?? "?"}, Python ${measured.python["python"] ?? "?"}, ${cores} cores (${cpu}), one host; medians of ${measured.runs} runs, side by side`;
  const svg = [
    `<svg xmlns="http://www.w3.org/2000/svg" width="${size.width}" height="${size.height}" viewBox="0 0 ${size.width} ${size.height}" font-family="system-ui, sans-serif" font-size="13" role="img">`,
    "<title>Seconds until all workers are registered, by the number of ranks</title>",
    `<rect width="${size.width}" height="${size.height}" fill="#ffffff"/>`,
    text(16, 26, "Seconds until all workers are registered", { colour: "#171717", weight: "bold", size: 16 }),
    text(16, 46, under, { colour: "#525252", size: 12 }),
    ...grid,
    ...ticks,
    text((plot.left + plot.right) / 2, plot.bottom + 42, "ranks", { anchor: "middle", colour: "#525252" }),
    ...lines,
    "</svg>",
    "",
  ].join("\n");
  writeFileSync(target, svg);
  return target;
}

/** The least of 1, 2, 4, 8 and their tens that is not below the largest value: quarters of it are round numbers. */
function niceTop(value: number): number {
  const power = 10 ** Math.floor(Math.log10(value));
  return [1, 2, 4, 8, 10].map((factor) => factor * power).find((top) => top >= value) ?? value;
}

/** Baselines near the ideal ones, none nearer to another than a line's height, in the order of the ideals. */
function spreadOut(ideals: readonly number[]): number[] {
  const order = ideals.map((_, index) => index).sort((a, b) => (ideals[b] ?? 0) - (ideals[a] ?? 0));
  const places: number[] = [];
  let ceiling = plot.bottom + lineHeight;
  for (const index of order) {
    ceiling = Math.min((ideals[index] ?? 0) + 4, ceiling - lineHeight);
    places[index] = ceiling;
  }
  return places;
}

function text(
  x: number,
  y: number,
  words: string,
  {
    anchor = "start",
    colour,
    weight = "normal",
    size: fontSize,
  }: { anchor?: string; colour: string; weight?: string; size?: number },
): string {
  const escaped = words.replaceAll("&", "&amp;").replaceAll("<", "&lt;");
  return `<text x="${x.toFixed(1)}" y="${y.toFixed(1)}" text-anchor="${anchor}" fill="${colour}" font-weight="${weight}"${fontSize === undefined ? "" : ` font-size="${fontSize}"`}>${escaped}</text>`;
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? "").href) {
  const [
    ,
    ,
    path = join(projectRoot, "bench", "results", "startup.json"),
    target = join(projectRoot, "docs", "startup.svg"),
  ] = process.argv;
  process.stdout.write(`${drawStartup(path, target)}\n`);
}
