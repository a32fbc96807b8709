import { durationText, bytesText } from "../ui/format.ts";
import { count, numberRanges } from "../ui/ranges.ts";
import { advice, hoursText, usedBy, type Used } from "./advice.ts";
import { heatChart, mostRows, startChart } from "./charts.ts";
import { html, Html, nothing } from "./html.ts";
import type { LaunchHead, RecordLine } from "./lines.ts";
import type { LaunchRecord } from "./record.ts";
import { startText, startUp } from "./start.ts";
import { courseOf, memoryRows, pauseText, processorRows, type Course } from "./workers.ts";

type End = Extract<RecordLine, { readonly k: "end" }>;

/**
 * Everything that happened in a launch, as one page of HTML that needs nothing else: no script of ours, nothing from
 * outside, and no word of the user's is anything but text. Dask's own report has scripts: it is in a frame of its own
 * that may do nothing else than draw. Pure.
 */
export function reportPage(record: LaunchRecord): string {
  const { head, lines } = record;
  const title = head === undefined ? "A launch of tsdask-mpi" : `${head.name}: a launch of tsdask-mpi`;
  const body = head === undefined ? html`<h1>${title}</h1><p>Nothing is known of it yet.</p>` : content(head, record);
  const scripts = "html" in record.dask ? "script-src 'unsafe-inline' 'unsafe-eval'; " : "";
  const written = lines.at(-1)?.at ?? 0;
  return html`<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; ${scripts}style-src 'unsafe-inline'; img-src data:; font-src data:; frame-src about:">
<meta name="viewport" content="width=device-width">
<meta name="referrer" content="no-referrer">
<title>${title}</title>
<style>${new Html(style)}</style>
</head>
<body>
${body}
<footer>tsdask-mpi ${head?.version ?? ""}${written === 0 ? "" : `; as of ${timeText(written)}`}</footer>
</body>
</html>
`.text;
}

function content(head: LaunchHead, record: LaunchRecord): Html {
  const { lines } = record;
  const end = lines.find((line): line is End => line.k === "end");
  const course = courseOf(head.started, lines);
  const used = usedBy(head, lines, course, end);
  return html`${summary(head, lines, used, end)}
${adviceSection(head, used, end)}
${startSection(head, lines)}
${courseSection(course)}
${lossSection(head, lines)}
${messageSection(head, lines)}
${placesSection(head, lines)}
${optionSection(head)}
${accountingSection(record, head)}
${daskSection(record)}`;
}

function summary(head: LaunchHead, lines: readonly RecordLine[], used: Used, end: End | undefined): Html {
  const last = lines.at(-1)?.at ?? head.started;
  const how =
    end === undefined
      ? `${lines.some(({ k }) => k === "signal" || k === "leave") ? "it was told to end, and has said nothing more" : "it runs, or was killed without a word"} (as of ${timeText(last)})`
      : end.why;
  const state = end === undefined ? "open" : end.code === 0 ? "good" : "bad";
  const scheduled = end?.usage?.scheduled;
  const job = head.job.id === undefined ? "none" : `${head.job.system} ${head.job.id}`;
  return html`<h1>${head.name}</h1>
<p class="how ${state}">${how}${end === undefined ? "" : `, exit code ${end.code}`}</p>
${facts([
  ["what", head.script ?? "a scheduler and its workers"],
  ["in", head.cwd],
  ["started", `${timeText(head.started)} by ${head.launcher}, ${count(head.size, "rank")}`],
  ["took", durationText(used.seconds)],
  ["job", job],
  [
    "workers",
    `${head.workerRanks.length} asked for, ${new Set(lines.flatMap((line) => (line.k === "worker" ? [line.rank] : []))).size} came, ${count(used.threads, "thread")}`,
  ],
  ...(scheduled === undefined
    ? []
    : [
        [
          "tasks",
          `${scheduled.tasks} on ${scheduled.used} of ${count(scheduled.seen, "worker")}${scheduled.spilled > 0 ? `, ${bytesText(scheduled.spilled)} spilled to disk` : ""}`,
        ] as const,
      ]),
  [
    "memory",
    used.mostMemory === 0
      ? "not known"
      : `at most ${bytesText(used.mostMemory)}${used.limit > 0 ? ` of ${bytesText(used.limit)}` : ""} in a worker`,
  ],
  ["had", hoursText(used.had)],
  ["used", `${hoursText(used.worked)} of processor`],
  ["idle", used.idle === undefined ? "not known" : `${hoursText(used.idle)} of threads without a task`],
  ["lost", used.lost === 0 ? "no worker" : `a worker, ${used.lost === 1 ? "once" : `${used.lost} times`}`],
])}`;
}

function adviceSection(head: LaunchHead, used: Used, end: End | undefined): Html {
  const said = advice(head, used, end);
  return section(
    "For next time",
    said.length === 0
      ? html`<p>${used.seconds < 30 ? "It was too short to say." : "Ask for the same."}</p>`
      : html`<ul>${said.map((one) => html`<li>${one}</li>`)}</ul>`,
  );
}

function startSection(head: LaunchHead, lines: readonly RecordLine[]): Html {
  const start = startUp(head, lines);
  const missing =
    start.missing.length === 0 ? nothing : html`<p>Never registered: ranks ${numberRanges(start.missing)}.</p>`;
  const some =
    start.ranks.length > mostRows ? html`<p>The ${mostRows} that were last of ${start.ranks.length}.</p>` : nothing;
  return section("Start", html`<p>${startText(start)}</p>${missing}${startChart(start)}${some}`);
}

function courseSection(course: Course): Html {
  const { times, workers } = course;
  if (times.length < 2)
    return section("Workers over time", html`<p>It was too short, or its scheduler too busy, for a look at them.</p>`);
  const some = workers.length > mostRows ? `; the ${mostRows} of ${workers.length} that matter most` : "";
  return section(
    "Workers over time",
    html`<h3>Memory, of each worker's limit</h3>${heatChart(memoryRows(course), times, { hue: 265, label: "memory of each worker" })}
<h3>Processor, of each worker's threads</h3>${heatChart(processorRows(course), times, { hue: 150, label: "processor of each worker" })}
<p class="small">Light is little, dark is much, red is over the limit; at the right the most memory, and the processor on average; ${pauseText(times)}${some}. A gap: the worker was not there.</p>`,
  );
}

function lossSection(head: LaunchHead, lines: readonly RecordLine[]): Html {
  const rows = lines.flatMap((line) => {
    if (line.k === "lost")
      return [
        [
          sinceText(head, line.at),
          `rank ${line.rank}`,
          line.host,
          line.why,
          line.restarting ? "started again" : "given up",
        ],
      ];
    if (line.k === "away")
      return [[sinceText(head, line.at), `rank ${line.rank}`, line.host, line.why, "left in order"]];
    return [];
  });
  return section(
    "Workers lost",
    rows.length === 0 ? html`<p>None.</p>` : table(["after", "worker", "host", "why", "then"], rows.slice(0, 500)),
  );
}

function messageSection(head: LaunchHead, lines: readonly RecordLine[]): Html {
  const said = lines.flatMap((line) => {
    if (line.k === "message") return [[line.at, line.text] as const];
    if (line.k === "signal") return [[line.at, `It got the signal ${line.signal}.`] as const];
    if (line.k === "leave") return [[line.at, "Its job's time was nearly over: it began to end."] as const];
    if (line.k === "full") return [[line.at, "The record is full: what came then is not in it."] as const];
    return [];
  });
  return section(
    "Warnings and failures",
    said.length === 0
      ? html`<p>None.</p>`
      : html`${said.slice(0, 500).map(([at, text]) => html`<div class="said"><span>${sinceText(head, at)}</span><pre>${text}</pre></div>`)}<p class="small">What a code means: <code>tsdask-mpi explain TSD-…</code></p>`,
  );
}

function placesSection(head: LaunchHead, lines: readonly RecordLine[]): Html {
  const hosts = new Map<string, Set<number>>();
  for (const line of lines)
    if (line.k === "ranks")
      for (const rank of line.ranks) hosts.set(line.host, (hosts.get(line.host) ?? new Set()).add(rank));
  const pythons = new Map(lines.flatMap((line) => (line.k === "python" ? [[line.host, line] as const] : [])));
  const rows = [...hosts].map(([host, found]) => {
    const ranks = [...found].toSorted((a, b) => a - b);
    const workers = ranks.filter((rank) => head.workerRanks.includes(rank)).length;
    const python = pythons.get(host);
    const parts = [
      ...(head.schedulerRank !== undefined && found.has(head.schedulerRank)
        ? [`scheduler (rank ${head.schedulerRank})`]
        : []),
      ...(head.clientRank !== undefined && found.has(head.clientRank) ? [`script (rank ${head.clientRank})`] : []),
      ...(workers > 0 ? [count(workers, "worker")] : []),
    ];
    return [
      host,
      numberRanges(ranks),
      parts.join(", "),
      python === undefined ? "" : `${python.python}, Dask ${python.dask}`,
    ];
  });
  return section(
    "What ran where",
    html`${table(["host", "ranks", "what", "Python"], rows)}<p class="small">${head.python}</p>`,
  );
}

function optionSection({ options }: LaunchHead): Html {
  return section(
    "Options",
    options.length === 0
      ? html`<p>None was set.</p>`
      : table(
          ["option", "value", "said in"],
          options.map(([name, value, from]) => [name, value, from]),
        ),
  );
}

function accountingSection({ accounting }: LaunchRecord, { job }: LaunchHead): Html {
  if (job.id === undefined) return nothing;
  return section(
    "The batch system's accounting",
    accounting === undefined
      ? html`<p>It has told nothing: <code>tsdask-mpi report</code> asks it after the end (Slurm, PBS, LSF, Grid Engine).</p>`
      : html`<pre>${accounting.text}</pre>${
          accounting.asOf === undefined
            ? nothing
            : html`<p class="small">As of ${timeText(accounting.asOf)}, while the job ran: <code>tsdask-mpi report</code> asks again after the end.</p>`
        }`,
  );
}

const notAsked = "it was not asked for (--report)";
const tooEarly =
  "the scheduler was gone, or everything was killed, before it was made; it is made at the end, and in between after each doubling of the time from 100 s on";

/**
 * The frame has no origin, so its scripts reach nothing; the page's policy, which holds in it too, lets nothing be
 * fetched.
 */
function daskSection({ dask, head }: LaunchRecord): Html {
  const asked = head?.options.some(([name]) => name === "report") ?? false;
  return section(
    "Dask's own report",
    "problem" in dask
      ? html`<p>There is none: ${dask.problem ?? (asked ? tooEarly : notAsked)}.</p>`
      : html`<iframe title="Dask's performance report" sandbox="allow-scripts" srcdoc="${new Html(inAttribute(dask.html))}"></iframe>`,
  );
}

/** Within quotes only these two mean anything; escaping what else Dask's page has would make it half as large again. */
const inAttribute = (text: string): string =>
  text
    .replace(/<link rel="shortcut icon"[^>]*>/, "")
    .replaceAll("&", "&amp;")
    .replaceAll('"', "&quot;");

const section = (name: string, inside: Html): Html => html`<section><h2>${name}</h2>${inside}</section>`;

const facts = (rows: readonly (readonly [string, string])[]): Html =>
  html`<dl>${rows.map(([name, text]) => html`<dt>${name}</dt><dd>${text}</dd>`)}</dl>`;

function table(names: readonly string[], rows: readonly (readonly string[])[]): Html {
  return html`<div class="wide"><table><thead><tr>${names.map((name) => html`<th>${name}</th>`)}</tr></thead><tbody>${rows.map(
    (row) => html`<tr>${row.map((cell) => html`<td>${cell}</td>`)}</tr>
`,
  )}</tbody></table></div>`;
}

const sinceText = ({ started }: LaunchHead, at: number): string => durationText((at - started) / 1000);

/** Local time, as a person would write it: `2026-01-31 14:05:09`. */
function timeText(at: number): string {
  const when = new Date(at);
  const two = (value: number): string => String(value).padStart(2, "0");
  return `${when.getFullYear()}-${two(when.getMonth() + 1)}-${two(when.getDate())} ${two(when.getHours())}:${two(when.getMinutes())}:${two(when.getSeconds())}`;
}

const style = `
body { font: 15px/1.45 system-ui, sans-serif; color: #1d232b; background: #fff; max-width: 940px; margin: 2rem auto; padding: 0 1rem; }
h1 { font-size: 1.6rem; margin: 0; } h2 { font-size: 1.15rem; margin: 2rem 0 .5rem; border-bottom: 1px solid #dfe4ea; padding-bottom: .2rem; }
h3 { font-size: .95rem; margin: 1rem 0 .2rem; }
.how { font-size: 1.05rem; padding: .5rem .8rem; border-left: 5px solid #999; background: #f5f6f8; overflow-wrap: anywhere; }
.how.good { border-color: #4c9a57; } .how.bad { border-color: #c0392b; background: #fbf1f0; } .how.open { border-color: #d9a13b; }
dl { display: grid; grid-template-columns: max-content 1fr; gap: .15rem 1rem; } dt { color: #667; } dd { margin: 0; overflow-wrap: anywhere; }
.wide { overflow-x: auto; } table { border-collapse: collapse; font-size: .9rem; } th, td { text-align: left; vertical-align: top; padding: .2rem .9rem .2rem 0; overflow-wrap: anywhere; }
th { color: #667; font-weight: 600; } td { border-top: 1px solid #eef0f3; }
pre { margin: 0; white-space: pre-wrap; overflow-wrap: anywhere; font: 13px/1.4 ui-monospace, monospace; }
.said { display: grid; grid-template-columns: 6rem 1fr; padding: .35rem 0; border-top: 1px solid #eef0f3; } .said span { color: #667; }
svg { width: 100%; height: auto; font: 11px system-ui, sans-serif; } .axis { fill: #667; } .mark { stroke: #c0392b; stroke-dasharray: 4 3; }
.legend { font-size: .85rem; color: #445; } .legend span { margin-right: 1.2rem; } .legend i { display: inline-block; width: 12px; height: 12px; margin-right: .35rem; vertical-align: -1px; }
.legend i.dash { width: 0; border-left: 2px dashed #c0392b; }
.small, footer { font-size: .85rem; color: #667; } footer { margin-top: 3rem; }
iframe { width: 100%; height: 700px; border: 1px solid #dfe4ea; }
@media print { iframe { display: none; } }
`;
