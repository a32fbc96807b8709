/*
 * The card "Dask cluster…" of JupyterLab's launcher: how many workers this launch has, more or fewer of them, and the dashboard.
 *
 * It is a container as JupyterLab loads its prebuilt extensions (Module Federation: init(scope), get(module)), written by hand: what stands here is what runs.
 * JupyterLab shares its own modules in the scope, each under its name and version, with get() for a function that returns it. Seen: JupyterLab 4.6.
 */

(() => {
  const command = "tsdask-mpi:cluster";
  const icon =
    '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 24 24"><g class="jp-icon3" fill="#616161"><rect x="9" y="2" width="6" height="6" rx="1"/>' +
    '<rect x="2" y="16" width="6" height="6" rx="1"/><rect x="9" y="16" width="6" height="6" rx="1"/><rect x="16" y="16" width="6" height="6" rx="1"/>' +
    '<path d="M11.4 8h1.2v8h-1.2zM4.4 11.4h15.2V16h-1.2v-3.4H5.6V16H4.4z"/></g></svg>';
  let shared = {};

  /** A module of JupyterLab's own; undefined where this one has none of that name. */
  const use = async (name) => {
    const [version] = Object.values(shared[name] ?? {});
    return version === undefined ? undefined : (await version.get())();
  };

  const make = (tag, text, style = "") => {
    const node = document.createElement(tag);
    node.textContent = text;
    node.style.cssText = style;
    return node;
  };

  const counted = (number, noun) => `${number} ${noun}${number === 1 ? "" : "s"}`;

  /** What the dialog shows: what is there, and a number that can be changed. */
  const body = (Widget, { workers, threads, memory }) => {
    const node = document.createElement("div");
    const size = `${counted(threads, "thread")}, ${(memory / 2 ** 30).toFixed(1)} GiB`;
    node.append(make("p", `This JupyterLab runs in a Dask cluster of ${counted(workers, "worker")} (${size}).`));
    node.append(make("p", "Client() in a notebook is connected to it.", "margin-bottom: 1em"));
    const label = make("label", "Workers ");
    const input = make("input", "", "width: 6em");
    Object.assign(input, { type: "number", min: "0", value: String(workers), className: "jp-mod-styled" });
    label.append(input);
    node.append(label);
    return Object.assign(new Widget({ node }), { getValue: () => input.valueAsNumber });
  };

  const plugin = ({ ILauncher }, { Dialog, ICommandPalette, Notification, showDialog, showErrorMessage }, rest) => ({
    id: command,
    autoStart: true,
    optional: [ILauncher, ICommandPalette],
    activate: (app, launcher, palette) => {
      const { ServerConnection, Widget, LabIcon } = rest;
      const settings = app.serviceManager.serverSettings;
      const ask = async (init) => {
        const answer = await ServerConnection.makeRequest(`${settings.baseUrl}tsdask-cluster`, init, settings);
        const told = await answer.json().catch(() => ({}));
        if (!answer.ok) throw new Error(told.message || `The server answers ${answer.status}.`);
        return told;
      };
      const scale = async (there, wanted) => {
        if (!Number.isInteger(wanted) || wanted < 0) throw new Error("The number of workers is a whole number.");
        if (wanted === there) return;
        const { said } = await ask({ method: "POST", body: JSON.stringify({ workers: wanted }) });
        Notification?.info(said, { autoClose: 10_000 });
      };
      const open = async () => {
        const there = await ask({});
        const { button, value } = await showDialog({
          title: "Dask cluster",
          body: body(Widget, there),
          focusNodeSelector: "input",
          buttons: [
            Dialog.cancelButton({ label: "Close" }),
            Dialog.createButton({ label: "Open dashboard", accept: false, actions: ["dashboard"] }),
            Dialog.okButton({ label: "Scale" }),
          ],
        });
        if (button.actions.includes("dashboard")) window.open(`${settings.baseUrl}tsdask/status`, "_blank", "noopener");
        else if (button.accept) await scale(there.workers, value);
      };
      app.commands.addCommand(command, {
        label: "Dask cluster…",
        caption: "How large this launch's cluster is, more workers, and the dashboard",
        icon: new LabIcon({ name: command, svgstr: icon }),
        execute: () => open().catch((error) => showErrorMessage("Dask cluster", error)),
      });
      launcher?.add({ command, category: "Dask" });
      palette?.addItem({ command, category: "Dask" });
    },
  });

  const names = ["launcher", "apputils", "services", "ui-components"].map((name) => `@jupyterlab/${name}`);
  window._JUPYTERLAB ??= {};
  window._JUPYTERLAB["tsdask-mpi"] = {
    init: (scope) => {
      shared = scope;
    },
    get: async () => {
      const [launcher, apputils, services, components, widgets] = await Promise.all(
        [...names, "@lumino/widgets"].map(use),
      );
      const known = launcher && apputils && services && components && widgets;
      const found = known ? [plugin(launcher, apputils, { ...services, ...components, ...widgets })] : [];
      return () => ({ __esModule: true, default: found });
    },
  };
})();
