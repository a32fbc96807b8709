"""Every name of Dask, Tornado, psutil and CPython that we rely on without its maker's promise: one small file each.

Each file says what it relies on and for which releases it was seen, does the replacing or reading, and has a `probe()`
that says what is missing, or None. `check.py` asks those of schedulers and workers once, in the fork server, before
anything is forked.
"""
