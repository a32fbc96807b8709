import { html, nothing, type Html } from "./html.ts";
import type { RankStart, StartUp } from "./start.ts";

/** Widths and heights in CSS pixels of the drawings. */
const labelWidth = 150;
const plotWidth = 760;
const rowHeight = 16;
/** More rows than these nobody reads: the slowest, or the fullest, stand for all. */
export const mostRows = 60;

const colours = {
  launcher: "#d9dee5",
  met: "#8fb3d9",
  told: "#5a7fb5",
  forked: "#e3a857",
  registered: "#6aa56a",
} as const;

const legend: readonly (readonly [string, string])[] = [
  [colours.launcher, "until Python has imported Dask; until the scheduler answers"],
  [colours.met, "its process started; meets its host's agent"],
  [colours.told, "met; waits for its part"],
  [colours.forked, "told its part; waits for Python's import and its fork"],
  [colours.registered, "forked; starts and registers"],
];

/** The start as bars, a row for each host's Python, the scheduler and each rank's worker. */
export function startChart({ ranks, imported, scheduler, script }: StartUp): Html {
  const shown = ranks
    .toSorted((a, b) => b.registered - a.registered)
    .slice(0, mostRows)
    .toSorted((a, b) => a.rank - b.rank);
  const end = Math.max(1, script ?? 0, scheduler ?? 0, ...ranks.map(({ registered }) => registered));
  const x = (ms: number): number => Math.round((labelWidth + (plotWidth * Math.min(ms, end)) / end) * 10) / 10;
  const rows: { readonly label: string; readonly bars: readonly Html[] }[] = [
    ...imported.map(({ host, at }) => ({
      label: `${host}: Python`,
      bars: [bar(x(0), x(at), colours.launcher, `Python has imported Dask on ${host} after ${seconds(at)}`)],
    })),
    ...(scheduler === undefined
      ? []
      : [
          {
            label: "scheduler",
            bars: [bar(x(0), x(scheduler), colours.launcher, `answers after ${seconds(scheduler)}`)],
          },
        ]),
    ...shown.map((one) => ({ label: `rank ${one.rank} ${one.host}`, bars: rankBars(one, x) })),
  ];
  const height = rows.length * rowHeight + 24;
  return html`<svg viewBox="0 0 ${labelWidth + plotWidth + 30} ${height}" role="img" aria-label="start of each rank">
${rows.map(
  (
    { label, bars },
    index,
  ) => html`<g transform="translate(0 ${index * rowHeight})"><text x="${labelWidth - 6}" y="12" text-anchor="end">${clip(label)}</text>${bars}</g>
`,
)}${script === undefined ? nothing : html`<line class="mark" x1="${x(script)}" x2="${x(script)}" y1="0" y2="${height - 20}"><title>the script starts after ${seconds(script)}</title></line>`}
${axis({ end }, height - 8, x)}</svg>
<p class="legend">${legend.map(([colour, text]) => html`<span><i style="background:${colour}"></i>${text}</span> `)}${script === undefined ? nothing : html`<span><i class="dash"></i>the script starts</span>`}</p>`;
}

function rankBars({ started, met, told, forked, registered }: RankStart, x: (ms: number) => number): readonly Html[] {
  const steps = [
    [started, met, colours.met, "started until met"],
    [met, told, colours.told, "met until told its part"],
    [told, forked, colours.forked, "told until forked"],
    [forked, registered, colours.registered, "forked until registered"],
  ] as const;
  return steps.flatMap(([from, to, colour, what]) =>
    from === undefined || to === undefined ? [] : [bar(x(from), x(to), colour, `${what}: ${seconds(to - from)}`)],
  );
}

const bar = (from: number, to: number, colour: string, title: string): Html =>
  html`<rect x="${from}" y="2" width="${Math.max(0.5, Math.round((to - from) * 10) / 10)}" height="${rowHeight - 4}" fill="${colour}"><title>${title}</title></rect>`;

/** Five marks below a drawing, in seconds, minutes or hours. */
function axis(
  { start = 0, end }: { readonly start?: number; readonly end: number },
  y: number,
  x: (ms: number) => number,
): Html {
  const [unit, name] = end < 180_000 ? [1000, "s"] : end < 10_800_000 ? [60_000, "min"] : [3_600_000, "h"];
  const marks = [0, 1, 2, 3, 4].map((part) => start + (part * (end - start)) / 4);
  return html`${marks.map((at) => html`<text x="${x(at)}" y="${y}" text-anchor="middle" class="axis">${Math.round((at / (unit as number)) * 10) / 10} ${name as string}</text>`)}`;
}

export interface HeatRow {
  readonly label: string;
  /** One value for each moment, 0 to 1 and beyond; undefined: it was not there. */
  readonly cells: readonly (number | undefined)[];
  readonly title: string;
  /** What the row's end says: its greatest value. */
  readonly most: string;
}

/** A row for each worker, a cell for each moment; `times` in milliseconds since the start. */
export function heatChart(
  rows: readonly HeatRow[],
  times: readonly number[],
  { hue, label }: { readonly hue: number; readonly label: string },
): Html {
  const end = Math.max(1, times.at(-1) ?? 1);
  const start = times[0] ?? 0;
  const width = plotWidth - 90;
  const x = (ms: number): number =>
    Math.round((labelWidth + (width * (Math.max(start, ms) - start)) / Math.max(1, end - start)) * 10) / 10;
  const height = rows.length * rowHeight + 24;
  const edges = [...times, end + (end - start) / Math.max(1, times.length)];
  return html`<svg viewBox="0 0 ${labelWidth + plotWidth + 30} ${height}" role="img" aria-label="${label}">
${rows.map(
  (
    row,
    index,
  ) => html`<g transform="translate(0 ${index * rowHeight})"><title>${row.title}</title><text x="${labelWidth - 6}" y="12" text-anchor="end">${clip(row.label)}</text>${row.cells.flatMap(
    (value, at) =>
      value === undefined
        ? []
        : [
            html`<rect x="${x(edges[at] ?? 0)}" y="1" width="${Math.max(1, Math.round((Math.min(x(edges[at + 1] ?? end), labelWidth + width) - x(edges[at] ?? 0)) * 10) / 10)}" height="${rowHeight - 2}" fill="${shade(value, hue)}"/>`,
          ],
  )}<text x="${labelWidth + width + 8}" y="12">${row.most}</text></g>
`,
)}${axis({ start, end }, height - 8, x)}</svg>`;
}

/** Light for little, dark for much; over its measure, red. */
function shade(value: number, hue: number): string {
  const part = Math.min(1, Math.max(0, value));
  return value > 1.02 ? "hsl(0 65% 45%)" : `hsl(${hue} 55% ${Math.round(94 - 52 * part)}%)`;
}

const seconds = (ms: number): string => `${(ms / 1000).toFixed(2)} s`;
const clip = (label: string): string => (label.length > 22 ? `${label.slice(0, 21)}…` : label);
