import { connect } from "node:net";

/** Why nothing at `host:port` takes a connection, in words; undefined when something does. Never rejects. */
export function whyUnreachable(host: string, port: number, deadline: number): Promise<string | undefined> {
  return new Promise((resolve) => {
    const socket = connect({ host, port, timeout: deadline });
    const done = (problem: string | undefined): void => {
      socket.destroy();
      resolve(problem);
    };
    socket.once("connect", () => done(undefined));
    socket.once("timeout", () => done(`no answer within ${deadline / 1000} s, as behind a firewall`));
    socket.once("error", ({ code, message }: NodeJS.ErrnoException) => done(problems[code ?? ""] ?? message));
  });
}

/**
 * Whether a process holds this unix socket open for connections: "no" only after a refusal, or where there is none;
 * "unknown" after any other error, and when nothing is accepted for `deadline` milliseconds, as by a stopped process
 * with a full backlog. A process that was itself kept from running for so long looks for its answer first. Never
 * rejects.
 */
export function listens(path: string, deadline: number): Promise<"yes" | "no" | "unknown"> {
  return new Promise((resolve) => {
    const socket = connect(path);
    const done = (answer: "yes" | "no" | "unknown"): void => {
      clearTimeout(late);
      socket.destroy();
      resolve(answer);
    };
    const late = setTimeout(() => setImmediate(done, "unknown"), deadline);
    socket.once("connect", () => done("yes"));
    socket.once("error", ({ code }: NodeJS.ErrnoException) =>
      done(code === "ECONNREFUSED" || code === "ENOENT" ? "no" : "unknown"),
    );
  });
}

const problems: Readonly<Record<string, string>> = {
  ECONNREFUSED: "it refuses connections: nothing listens there, or a firewall says so",
  EHOSTUNREACH: "there is no way to that host",
  ENETUNREACH: "there is no way to that network",
  ETIMEDOUT: "no answer, as behind a firewall",
  ENOTFOUND: "that name is not known here",
};
