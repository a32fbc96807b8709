import { expect, test } from "vitest";
import { pagesUrl } from "../../src/cluster/pages.ts";

const options = {
  dashboard: true,
  dashboardAddress: ":8787",
  schedulerOptions: {},
  tunnel: "direct",
  https: "auto",
} as const;
const scheduler = { address: "tls://10.0.0.1:8786", dashboard: 8787 };
const url = (changes: object, sameHost: boolean): string | undefined =>
  pagesUrl({ options: { ...options, ...changes }, scheduler, sameHost });

test("Jupyter reaches the scheduler's pages where they listen", () => {
  expect(url({}, false)).toBe("http://10.0.0.1:8787/");
  expect(url({ schedulerOptions: { http_prefix: "/pre/" } }, false)).toBe("http://10.0.0.1:8787/pre");
  expect(url({ dashboardAddress: "0.0.0.0:8787" }, false)).toBe("http://10.0.0.1:8787/");
  expect(url({ dashboard: false }, true)).toBeUndefined();
});

test.each([{ tunnel: "jump" }, { dashboardAddress: "127.0.0.1:8787" }])(
  "pages on the loopback (%o) are asked for on their own host only",
  (changes) => {
    expect(url(changes, true)).toBe("http://127.0.0.1:8787/");
    expect(url(changes, false)).toBeUndefined();
  },
);
