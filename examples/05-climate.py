"""Labelled fields with NumPy alone: anomalies of a climate, smoothed.

A field of temperature over 20 years of months on a grid: the mean year is taken off, what remains is smoothed in space,
and the trend that was put in is found again. It is what xarray does underneath, on Dask arrays in chunks.
"""

import dask.array as da
import numpy as np
from dask.distributed import Client

YEARS, ROWS, COLUMNS = 20, 180, 360
TREND = 0.03  # degrees per year


def field(block_info=None):
    """One chunk of the made-up climate: seasons, a trend, and noise that depends on the place only through its seed."""
    (months, rows, columns) = block_info[None]["array-location"]
    month = np.arange(*months)[:, None, None]
    latitude = np.linspace(-90, 90, ROWS)[slice(*rows)][None, :, None]
    season = 15 * np.cos(2 * np.pi * month / 12) * latitude / 90
    noise = np.random.default_rng([months[0], rows[0]]).standard_normal(
        (len(month), latitude.size, columns[1] - columns[0])
    )
    return season + TREND * month / 12 + noise


def smooth(block):
    """The mean over each point and its four neighbours; east and west meet."""
    around = sum(np.roll(block, shift, axis) for axis in (1, 2) for shift in (1, -1))
    return (block + around) / 5


def main():
    client = Client()
    chunks = ((60,) * (YEARS * 12 // 60), (60,) * (ROWS // 60), (COLUMNS,))
    temperature = da.map_blocks(field, chunks=chunks, dtype="float64", meta=np.empty((0, 0, 0))).persist()

    by_year = temperature.reshape((YEARS, 12, ROWS, COLUMNS))
    anomaly = (by_year - by_year.mean(axis=0)).reshape(temperature.shape)
    smoothed = anomaly.map_overlap(smooth, depth={0: 0, 1: 1, 2: 0}, boundary="reflect", dtype="float64")

    monthly = smoothed.mean(axis=(1, 2))
    spread, monthly = da.compute(smoothed.std(), monthly)
    slope = np.polyfit(np.arange(YEARS * 12) / 12, monthly, 1)[0]
    print(f"trend {slope:.4f} degrees per year, spread {spread:.3f} degrees")

    # The mean year swallows a month's own noise but not the step from year to year.
    assert abs(slope - TREND) < 0.001, f"expected a trend of {TREND}"
    assert 0.35 < spread < 0.55, "smoothing over five points should leave less than half the noise"
    client.close()


if __name__ == "__main__":
    main()
