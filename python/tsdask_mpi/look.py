"""What a Python is and has, as one JSON line for `tsdask-mpi doctor`: `python look.py FOLDER MODULES`.

The folder is that in which a script would be; MODULES is a JSON list of options and the modules that they name.
"""

import json
import os
import sys
from typing import Any

JUPYTER = ("jupyterlab", "notebook", "jupyter_server", "jupyterhub")
PACKAGES = ("dask", "distributed", "bokeh", *JUPYTER, "numpy", "pandas", "msgpack", "tornado", "cloudpickle")


def main() -> None:
    """Import Dask as a launch would, and say what came of it."""
    found: dict[str, Any] = {
        "python": ".".join(str(part) for part in sys.version_info[:3]),
        "executable": sys.executable,
        "packages": {},
        "hidden": [],
        "absent": [],
        "settings": {},
    }
    if sys.version_info < (3, 10):
        message = "Python %s is too old: 3.10 or newer is needed" % found["python"]
        found["problem"] = {"reason": "old-python", "message": message}
    else:
        look(found, sys.argv[1], json.loads(sys.argv[2]))
    sys.stdout.write(json.dumps(found) + "\n")


def look(found: "dict[str, Any]", folder: str, named: "list[list[str]]") -> None:
    """Fill in what can be found out; `named` are options and the modules that they name."""
    here = os.path.dirname(os.path.abspath(__file__))
    sys.path[:] = [path for path in sys.path if path != here] + [os.path.dirname(here)]
    from tsdask_mpi.diagnosis import explain, hidden_beside

    try:
        from importlib import metadata

        import distributed

        import dask

        for name in PACKAGES:
            try:
                found["packages"][name] = metadata.version(name)
            except metadata.PackageNotFoundError:
                pass
        found["packages"].update(dask=dask.__version__, distributed=distributed.__version__)
        if tuple(int(part) for part in distributed.__version__.split(".")[:2]) < (2022, 12):
            message = "distributed %s is too old: 2022.12 or newer is needed" % distributed.__version__
            found["problem"] = {"reason": "old-dask", "message": message}
        found["settings"] = {
            "address": dask.config.get("scheduler-address", None),
            "spill": dask.config.get("temporary-directory", None),
            "encryption": dask.config.get("distributed.comm.require-encryption", None),
        }
        found["hidden"] = hidden_beside(folder)
        found["absent"] = [[option, name] for option, name in named if not is_there(name, folder)]
    except Exception as error:
        kind, what = explain(error)
        missing = kind == "missing"
        found["problem"] = {"reason": "no-dask" if missing else kind, "message": "%s: %s" % (sys.executable, what)}


def is_there(name: str, folder: str) -> bool:
    """Say whether a module can be found, in this Python or where the script is; nothing is imported."""
    from importlib.util import find_spec

    beside = os.path.join(folder, name)
    if os.path.isdir(beside) or os.path.isfile(beside + ".py"):
        return True
    try:
        return find_spec(name) is not None
    except (ImportError, ValueError):
        return False


if __name__ == "__main__":
    main()
