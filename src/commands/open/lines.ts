import * as v from "valibot";
import { batchNames } from "../../dask/scheduler-file.ts";
import { ClusterRecordSchema } from "../../dask/read-scheduler-file.ts";
import { Failure } from "../../errors/failure.ts";
import { messages, type MessageCode } from "../../errors/messages.ts";
import { visibleLine } from "../../errors/visible.ts";

/** What stands before each line of ours: a login shell's profile may write to the same stream. */
const mark = "tsdask-open ";

/** The longest line that is read: a folder's worth of credentials has some kilobytes. */
const longestLine = 1_000_000;

/** Text from the other side, as it may stand on a terminal. */
const text = v.pipe(v.string(), v.maxLength(4000), v.transform(visibleLine));
const texts = v.pipe(v.array(text), v.maxLength(500));
const JobId = v.pipe(v.string(), v.regex(/^[\w.[\]@:-]{1,200}$/, "not a job"));
const Name = v.pipe(v.string(), v.regex(/^[\w][\w.-]{0,100}$/, "not a name"));
const Pem = v.pipe(v.string(), v.startsWith("-----BEGIN "), v.maxLength(100_000));
export const Job = v.object({ system: v.picklist(batchNames), id: JobId });

/** The one cluster that a session is about: by its job, or by its name or launch. */
const Target = v.union([v.object({ job: Job }), v.object({ name: Name })]);
export type Target = v.InferOutput<typeof Target>;

/** What the laptop's side asks. */
const Request = v.variant("op", [
  v.object({ op: v.literal("alive") }),
  v.object({ op: v.literal("choices"), system: v.optional(v.string()) }),
  v.object({
    op: v.literal("submit"),
    system: v.optional(v.string()),
    options: v.array(v.string()),
    words: v.array(v.string()),
    /** Where the job runs, and JupyterLab begins; the home folder when absent. */
    folder: v.optional(v.string()),
  }),
  v.object({ op: v.literal("follow"), target: Target }),
  v.object({ op: v.literal("stop"), target: Target }),
  v.object({ op: v.literal("credentials"), target: Target }),
]);
export type Request = v.InferOutput<typeof Request>;

/** What the login host's side tells. */
const Told = v.variant("event", [
  v.object({ event: v.literal("hello"), version: text, host: text, user: text }),
  v.object({ event: v.literal("note"), text }),
  v.object({
    event: v.literal("choices"),
    system: v.picklist(batchNames),
    queues: texts,
    accounts: texts,
    /** Values that the site's and the user's files there give. */
    defaults: v.record(v.string(), text),
  }),
  v.object({ event: v.literal("submitted"), job: Job, name: Name }),
  v.object({ event: v.literal("waits"), state: text, reason: text }),
  v.object({
    event: v.literal("up"),
    name: Name,
    record: v.pick(ClusterRecordSchema, ["launch", "host", "folder", "dashboard", "jupyter", "tunnel", "security"]),
    address: v.pipe(v.string(), v.regex(/^[a-z]+:\/\/[\w.:[\]%-]+:\d+$/, "not an address")),
    token: v.optional(v.pipe(v.string(), v.regex(/^[\w-]{16,200}$/, "not a token"))),
    ends: v.optional(v.number()),
  }),
  v.object({ event: v.literal("ended"), why: text, code: v.optional(v.number()) }),
  v.object({ event: v.literal("stopped"), how: text }),
  v.object({
    event: v.literal("credentials"),
    ca: v.optional(Pem),
    cert: v.optional(Pem),
    key: v.optional(Pem),
    packages: v.record(text, v.nullable(text)),
  }),
  v.object({
    event: v.literal("failure"),
    code: v.string(),
    facts: v.record(v.string(), v.union([text, v.number()])),
  }),
]);
export type Told = v.InferOutput<typeof Told>;

/** A line of ours. */
export const written = (content: Request | Told): string => `${mark}${JSON.stringify(content)}\n`;

/** What a line from the laptop asks; undefined for any other line. */
export function readRequest(line: string): Request | undefined {
  const found = v.safeParse(Request, contentOf(line));
  return found.success ? found.output : undefined;
}

/**
 * What a line from the login host tells; text where it is not one of ours. Throws TSD-177 for one of ours that cannot
 * be believed.
 */
export function readTold(line: string): Told | string {
  if (!line.startsWith(mark)) return visibleLine(line);
  const found = v.safeParse(Told, contentOf(line));
  if (found.success) return found.output;
  const [issue] = found.issues;
  throw new Failure("TSD-177", { problem: `${v.getDotPath(issue) ?? "the whole"}: ${issue.message}` });
}

function contentOf(line: string): unknown {
  if (!line.startsWith(mark) || line.length > longestLine) return undefined;
  try {
    return JSON.parse(line.slice(mark.length));
  } catch {
    // Half a line: the other side is gone, or is none of ours.
    return undefined;
  }
}

/** A failure of the other side as one of this side's, with the same code where this version knows it. */
export function failureTold({ code, facts }: Extract<Told, { event: "failure" }>): Failure {
  const known = code in messages ? (code as MessageCode) : undefined;
  if (known !== undefined) return new Failure(known, facts);
  return new Failure("TSD-177", { problem: `a failure ${visibleLine(code)} that this version does not know` });
}
