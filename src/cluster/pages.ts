import type { Options } from "../config/options.ts";
import { isLoopback } from "../dask/address.ts";
import type { SchedulerFacts } from "./state.ts";

type PageOptions = Pick<Options, "dashboard" | "dashboardAddress" | "https" | "schedulerOptions" | "tunnel">;

/**
 * The host at which the scheduler's pages listen, as it stands in a URL: a loopback address when only its own host
 * reaches them. Pure.
 */
export function dashboardHost({ dashboardAddress, tunnel }: PageOptions, schedulerAddress: string): string {
  if (tunnel !== "direct" && dashboardAddress.startsWith(":")) return "127.0.0.1";
  const asked = /^(?:\w+:\/\/)?(.*):\d+$/.exec(dashboardAddress)?.[1] ?? "";
  return isLoopback(asked) ? asked : bareHost(schedulerAddress);
}

/**
 * The URL below which the client's host finds the scheduler's pages; undefined when there are none, or when they listen
 * on the loopback of another host: whoever has that port here would get the token; or when they show a certificate that
 * is not the launch's. Pure.
 */
export function pagesUrl({
  options,
  scheduler,
  sameHost,
}: {
  readonly options: PageOptions;
  readonly scheduler: Pick<SchedulerFacts, "address" | "dashboard" | "https">;
  /** The client runs on the scheduler's host. */
  readonly sameHost: boolean;
}): string | undefined {
  if (scheduler.dashboard === null || !options.dashboard) return undefined;
  const host = dashboardHost(options, scheduler.address);
  if (isLoopback(host) && !sameHost) return undefined;
  if (scheduler.https === true && options.https !== "on") return undefined;
  const prefix = options.schedulerOptions["http_prefix"];
  const path = typeof prefix === "string" ? prefix.replace(/^\/+|\/+$/g, "") : "";
  return `http${scheduler.https === true ? "s" : ""}://${host}:${scheduler.dashboard}/${path}`;
}

/** The host of a Dask address, as it stands in a URL. */
function bareHost(address: string): string {
  return address.replace(/^[a-z][a-z0-9+.-]*:\/\//, "").replace(/:\d+$/, "");
}
