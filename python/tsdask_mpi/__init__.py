"""What runs in Python: the fork server of a host, and the Dask scheduler or worker in each of its children."""
