"""The classic: a large array of random numbers, added to its transpose, and half of it averaged.

Eight hundred megabytes in a hundred pieces; the pieces travel between workers for the transpose, five thousand means
come back. Plain Dask: the same file runs on a laptop (`python 01-array.py`) and on a cluster (`mpirun -np 8 tsdask-mpi
01-array.py`).
"""

import sys

import dask.array as da
from dask.distributed import Client

# The sum of two uniform numbers has mean 1 and standard deviation 0.41; of 25 million such sums the mean strays by
# 0.0001.
EXPECTED = 1.0
TOLERANCE = 0.001


def main():
    client = Client()
    print(f"{len(client.ncores())} workers at {client.scheduler.address}")

    x = da.random.random((10000, 10000), chunks=(1000, 1000))
    y = (x + x.T)[::2, 5000:].mean(axis=1)
    means = y.compute()

    print(f"{means.size} means from {means.min():.4f} to {means.max():.4f}, their mean {means.mean():.5f}")
    if means.shape != (5000,) or abs(means.mean() - EXPECTED) > TOLERANCE:
        return f"wrong: their mean should be {EXPECTED} within {TOLERANCE}"
    print("as it should be")
    return 0


if __name__ == "__main__":
    sys.exit(main())
