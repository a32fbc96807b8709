-- tsdask-mpi for Lmod: put this file (or a link to it) into a folder of MODULEPATH as tsdask-mpi/<version>.lua,
-- or `module use` the folder modulefiles/ of the installation that it is in.
help([[A Dask cluster from any MPI launcher: mpirun -np 8 tsdask-mpi script.py
The Python is that of your own environment; tsdask-mpi --help says more.]])
whatis("Name: tsdask-mpi")
whatis("Description: A Dask cluster from any MPI launcher, without an MPI library")

-- Where it is installed: the folder above modulefiles/, else what the site writes here.
local root = myFileName():match("^(.*)/modulefiles/") or "/opt/tsdask-mpi"

conflict("tsdask-mpi")
prepend_path("PATH", pathJoin(root, "bin"))
-- `man` finds the page beside bin/. Completions: the list of data folders has a default, which the variable replaces.
prepend_path("XDG_DATA_DIRS", pathJoin(root, "share"))
append_path("XDG_DATA_DIRS", "/usr/local/share:/usr/share")
-- For `import tsdask_mpi`: this folder holds nothing else.
prepend_path("PYTHONPATH", pathJoin(root, "python"))
-- The site's defaults beside the installation, where /etc is not the same on all hosts.
if isFile(pathJoin(root, "etc/tsdask-mpi.yaml")) then
  setenv("TSDASK_SITE_CONFIG", pathJoin(root, "etc/tsdask-mpi.yaml"))
end
