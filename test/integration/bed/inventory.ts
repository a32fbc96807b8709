import { existsSync } from "node:fs";
import { join } from "node:path";
import { type Availability, needs, projectRoot } from "./command.ts";
import { chromiumAvailable } from "./chromium.ts";
import { hostsAvailable } from "./hosts.ts";
import { htcondorAvailable } from "./htcondor.ts";
import { launchers } from "./launchers.ts";
import { hasDaskExtension, hasWidgets, pythons } from "./pythons.ts";
import { sgeAvailable } from "./sge.ts";
import { sshdAvailable } from "./sshd.ts";
import { strangerAvailable } from "./user.ts";

/** Whether a Prometheus is there. */
export const prometheusAvailable = (): Availability => needs(["prometheus"], "prometheus");

/**
 * One line for each part of the bed that this machine lacks: which tests are left out, and what is missing for them.
 */
export function leftOut(): readonly string[] {
  const parts: readonly (readonly [string, Availability])[] = [
    ...launchers.map(({ name, available }) => [`the launcher ${name}`, available] as const),
    ...pythons.map(({ name, available }) => [name, available] as const),
    ["three hosts", hostsAvailable()],
    ["Grid Engine", sgeAvailable()],
    ["HTCondor", htcondorAvailable()],
    ["another user", strangerAvailable()],
    ["ssh tunnels", sshdAvailable()],
    ["a browser", chromiumAvailable()],
    ["the Dask extension of JupyterLab", hasDaskExtension()],
    ["a notebook's widgets", hasWidgets()],
    ["a TLS proxy", needs(["haproxy"], "haproxy")],
    ["a Prometheus", prometheusAvailable()],
    ["shellcheck", needs(["shellcheck"], "shellcheck")],
    ["strace", needs(["strace"], "strace")],
    [
      "dask-mpi's own tests",
      existsSync(join(projectRoot, ".tools", "dask-mpi", "made")) || {
        missing: "dask-mpi from PyPI in .tools/dask-mpi",
      },
    ],
  ];
  return parts.flatMap(([tests, available]) =>
    available === true ? [] : [`tests with ${tests}: ${available.missing}`],
  );
}
