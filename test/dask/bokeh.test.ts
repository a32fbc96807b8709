import { expect, test } from "vitest";
import { bokehWanted } from "../../src/dask/bokeh.ts";

test.each([
  ["Dask needs bokeh >= 2.4.2, < 3, not bokeh==3.9.2", "'bokeh>=2.4.2,<3'"],
  ["Dask needs bokeh>=3.1.0 for the dashboard, not bokeh=2.4.3", "'bokeh>=3.1.0'"],
  ["Dask needs bokeh!=3.0.*,>=2.4.2 for the dashboard, not bokeh=2.4.1", "'bokeh!=3.0.*,>=2.4.2'"],
  ["No module named 'bokeh'", "--upgrade bokeh"],
  ["Dask needs bokeh >= 2; rm -rf ~, not bokeh==1", "--upgrade bokeh"],
])("%s", (problem, wanted) => {
  expect(bokehWanted(problem)).toBe(wanted);
});
