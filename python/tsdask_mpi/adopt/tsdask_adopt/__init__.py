"""In the script's process: whoever asks Dask for a cluster gets the one that this launch runs."""
