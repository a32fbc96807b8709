import { expect, it } from "vitest";
import { usesDaskMpi } from "../../src/cluster/rank-names.ts";

it.each([
  "import dask_mpi",
  "#!/usr/bin/env python\nfrom dask_mpi import initialize\n",
  "from dask_mpi.core import initialize",
  "if True:\n    from dask_mpi import execute",
  "import os, dask_mpi as dm",
  "import numpy as np, dask_mpi",
  '{"source": [\n    "import numpy as np\\n",\n    "from dask_mpi import initialize\\n"]}',
])("%s uses dask-mpi", (source) => {
  expect(usesDaskMpi(source)).toBe(true);
});

it.each([
  "from dask.distributed import Client",
  "# from dask_mpi import initialize",
  'print("import dask_mpi")',
  "import dask_mpi_tools",
  "from dask_mpi_tools import initialize",
  "import dask",
])("%s does not", (source) => {
  expect(usesDaskMpi(source)).toBe(false);
});
