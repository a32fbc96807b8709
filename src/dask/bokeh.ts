/**
 * What pip installs where Dask has said why there is no dashboard: the releases that it asks for, else the newest.
 * Facts relied on: distributed/dashboard/core.py raises "Dask needs bokeh >= 2.4.2, < 3, not bokeh==3.9.2" (2022.12),
 * or "Dask needs bokeh>=3.1.0 for the dashboard, not bokeh=2.4.3" (2026.8).
 */
export function bokehWanted(problem: string): string {
  const releases = /needs (bokeh *[<>=!~][\w.*,<>=!~ ]*?)(?: for the dashboard)?, not bokeh/.exec(problem)?.[1];
  return releases === undefined ? "--upgrade bokeh" : `'${releases.replaceAll(" ", "")}'`;
}
