"""Shared by all tests: one thread, a cache of their own, small data sets, quick figures, and a Python that has imported the package already."""

import os
import sys
import tempfile
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import pytest
import torch
import vl_convert
from PIL import Image

from sketches import sketch

torch.set_num_threads(1)


def pytest_configure(config):
    """Let `sys.executable` be a Python that is forked (`fork_client.py`), for all that the tests start; on Linux, as the package forks there."""
    if sys.platform != "linux":
        return
    place = tempfile.TemporaryDirectory()  # not below pytest's folder: the name of a socket is short
    program, client = Path(place.name) / "python", Path(__file__).with_name("fork_client.py")
    program.write_text(f'#!/bin/sh\nexec "{sys.executable}" -IS "{client}" "{place.name}" {os.getpid()} "$@"\n')
    program.chmod(0o755)
    patch = pytest.MonkeyPatch()
    patch.setattr(sys, "executable", str(program))
    config.add_cleanup(patch.undo)
    config.add_cleanup(place.cleanup)


@pytest.fixture(scope="session", autouse=True)
def _own_cache(tmp_path_factory):
    """Keep the user's cache out of the tests; processes that the tests start inherit it."""
    os.environ["SEEWHY_CACHE"] = str(tmp_path_factory.mktemp("cache"))


VEGALITE_TO_SVG = vl_convert.vegalite_to_svg


@pytest.fixture(scope="session", autouse=True)
def _sketches():
    """Sketch charts, which `drawn` takes back."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(vl_convert, "vegalite_to_svg", sketch)
        yield


@pytest.fixture(scope="module")
def drawn():
    """Draw the charts for tests that look at them, each held against the schema of Vega-Lite."""
    from altair.vegalite.v6.schema.core import TopLevelSpec

    def draw(chart, **options):
        TopLevelSpec.validate(chart)
        return VEGALITE_TO_SVG(chart, **options)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(vl_convert, "vegalite_to_svg", draw)
        yield


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
