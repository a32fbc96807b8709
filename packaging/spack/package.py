# ruff: noqa: F403, F405, I001 (this is how Spack wants its recipes)
# A recipe for Spack 1.0 and newer; written from Spack's documentation and other recipes, not run. Copy it to
# packages/tsdask_mpi/ of a repository.
from spack_repo.builtin.build_systems.python import PythonPackage

from spack.package import *


class TsdaskMpi(PythonPackage):
    """A Dask cluster from any MPI launcher, without an MPI library."""

    homepage = "https://www.npmjs.com/package/tsdask-mpi"
    # The sdist that `npm run wheel` makes, where the site keeps it. No registry has it, and what had its name there
    # would be somebody else's.
    url = "file:///path/to/packages/tsdask_mpi-0.1.0.tar.gz"

    license("BSD-3-Clause")

    # `spack checksum tsdask-mpi` writes the sdist's checksum here.
    version("0.1.0")

    depends_on("python@3.10:", type=("build", "run"))
    depends_on("py-pip", type="build")
    depends_on("node-js@22.15:", type="run")
    depends_on("py-distributed@2022.12:", type="run")

    def config_settings(self, spec, prefix):
        # Spack's Node stands for the wheel that pip would ask for.
        return {"node": "system"}
