import { kebab } from "../config/option-names.ts";
import { optionKeys } from "../config/table.ts";
import { sourceName } from "../config/resolve.ts";
import { VERSION } from "../config/version.ts";
import { fine, foretold, type Row } from "./row.ts";
import type { DoctorContext } from "./context.ts";

/** tsdask-mpi itself, its Node, and the options in force with where each comes from. */
export function installationRows({ read, readProblem, pythonRoot }: DoctorContext): Row[] {
  const folder = pythonRoot.replace(/\/python$/, "");
  return [
    fine("installation", "tsdask-mpi", `${VERSION} in ${folder}`, { same: VERSION }),
    fine("installation", "node", `${process.versions.node} (${process.execPath})`),
    read === undefined
      ? foretold("installation", "options", readProblem)
      : fine("installation", "options", optionsText(read)),
  ];
}

function optionsText(read: NonNullable<DoctorContext["read"]>): string {
  const said = optionKeys.filter((key) => !["default", "derived"].includes(read.sources[key].kind));
  if (said.length === 0) return "all at their defaults";
  return said.map((key) => `${kebab(key)} (${sourceName(read.sources[key])})`).join(", ");
}
