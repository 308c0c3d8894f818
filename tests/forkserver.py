"""Processes that torch and Dask start in the tests: forks of one that has imported what they need, for an interpreter imports it anew."""

import multiprocessing

PRELOADED = ["distributed", "seewhy.comparison.execute"]


def context():
    """Return the way of starting processes; what is not installed is passed over."""
    found = multiprocessing.get_context("forkserver")
    found.set_forkserver_preload(PRELOADED)
    return found
