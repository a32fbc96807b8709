import type { JupyterKind } from "../config/options.ts";

/** The module that a kind of Jupyter is, as `python -m` takes it. */
export const jupyterModules: Readonly<Record<JupyterKind, string>> = {
  lab: "jupyterlab",
  notebook: "notebook",
  server: "jupyter_server",
  hub: "jupyterhub.singleuser",
};
