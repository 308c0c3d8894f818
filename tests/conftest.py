"""Shared by all tests: one thread, a cache of their own, and small data sets."""

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import pytest
import torch
from PIL import Image

torch.set_num_threads(1)


@pytest.fixture(scope="session", autouse=True)
def _own_cache(tmp_path_factory):
    """Keep the user's cache out of the tests; processes that the tests start inherit it."""
    os.environ["SEEWHY_CACHE"] = str(tmp_path_factory.mktemp("cache"))


@pytest.fixture(scope="session")
def shapes(tmp_path_factory):
    """A folder of 3 x 40 small colour pictures without a split: squares, crosses and stripes on noise."""
    folder = tmp_path_factory.mktemp("shapes")
    random = np.random.default_rng(0)
    for name in ("cross", "square", "stripes"):
        (folder / name).mkdir()
        for number in range(40):
            pixels = random.integers(0, 90, (16, 16, 3), dtype=np.uint8)
            at = random.integers(2, 6)
            if name == "square":
                pixels[at : at + 8, at : at + 8] = 220
            elif name == "cross":
                pixels[at + 3 : at + 5, at : at + 8] = 220
                pixels[at : at + 8, at + 3 : at + 5] = 220
            else:
                pixels[at::3] = 220
            Image.fromarray(pixels).save(folder / name / f"{number:03d}.png")
    return folder
