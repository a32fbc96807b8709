"""A table in pieces: pandas on the workers, one summary at the end.

Forty days of made-up weather readings, one pandas table per day, made and summarised where they are; only the small
summaries travel. Plain Dask: the same file runs on a laptop (`python 02-dataframe.py`) and on a cluster (`mpirun -np 8
tsdask-mpi 02-dataframe.py`).
"""

import numpy as np
import pandas as pd
from dask.distributed import Client

import dask

DAYS = 40
READINGS = 20_000
STATIONS = 5


@dask.delayed
def day(number):
    """The readings of one day: a station and a temperature each; the same on whichever worker."""
    random = np.random.default_rng(number)
    station = random.integers(STATIONS, size=READINGS)
    return pd.DataFrame({"station": station, "temperature": 10 + station + random.standard_normal(READINGS)})


@dask.delayed
def summary(table):
    """Sum and count per station, which can be added up over the days."""
    return table.groupby("station")["temperature"].agg(["sum", "count"])


def main():
    client = Client()
    daily = [summary(day(number)) for number in range(DAYS)]
    total = pd.concat(dask.compute(*daily)).groupby(level="station").sum()
    mean = total["sum"] / total["count"]
    print(mean.round(3).to_string())

    assert total["count"].sum() == DAYS * READINGS, "readings were lost"
    error = np.abs(mean.to_numpy() - (10 + np.arange(STATIONS))).max()
    assert error < 0.02, f"a mean is off by {error}"
    print(f"{DAYS * READINGS:,} readings, means as expected (largest error {error:.4f})")
    client.close()


if __name__ == "__main__":
    main()
