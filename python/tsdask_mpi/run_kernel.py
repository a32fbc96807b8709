"""
Runs ipykernel's launcher as `python -m ipykernel_launcher` does, without having looked for modules in the working
folder. Any Python 3 can run it.

IPython itself puts the working folder on the module path later, behind the standard library, for what the notebook
imports.
"""

import sys

if not getattr(sys.flags, "safe_path", False):
    del sys.path[0]

import runpy

if __name__ == "__main__":
    if sys.path and sys.path[0] == "":
        del sys.path[0]
    runpy.run_module("ipykernel_launcher", run_name="__main__", alter_sys=True)
