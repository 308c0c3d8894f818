"""Small image folders, and a cache of their own for every test."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    home = tmp_path / "cache"
    monkeypatch.setenv("SEEWHY_CACHE", str(home))
    return home


@pytest.fixture(scope="session")
def make_image() -> Callable[..., Image.Image]:
    """A smooth random image: `make_image(seed, size=(w, h), mode="RGB")`."""

    def make(seed: int, size: tuple[int, int] = (16, 16), mode: str = "RGB") -> Image.Image:
        coarse = np.random.default_rng(seed).integers(0, 256, (4, 4, 3), dtype=np.uint8)
        return Image.fromarray(coarse).resize(size, Image.Resampling.BICUBIC).convert(mode)

    return make


@pytest.fixture(scope="session")
def encoded(make_image: Callable[..., Image.Image]) -> Callable[..., bytes]:
    """Encoded bytes of an image: `encoded(seed, "JPEG", size=..., mode=..., **save_options)`."""

    def make(
        seed: int, form: str = "JPEG", size: tuple[int, int] = (16, 16), mode: str = "RGB", **options: Any
    ) -> bytes:
        buffer = io.BytesIO()
        make_image(seed, size, mode).save(buffer, form, **options)
        return buffer.getvalue()

    return make


@pytest.fixture
def folder(tmp_path: Path, encoded: Callable[..., bytes]) -> Callable[..., Path]:
    """A folder of class folders: `folder({"train/cat": 5, "train/dog": 4}, size=(16, 16))`; every image differs."""

    def make(counts: dict[str, int], name: str = "images", **options: Any) -> Path:
        seed = 0
        for where, count in counts.items():
            home = tmp_path / name / where
            home.mkdir(parents=True)
            for i in range(count):
                seed += 1
                (home / f"{i:03}.jpg").write_bytes(encoded(seed, **options))
        return tmp_path / name

    return make
