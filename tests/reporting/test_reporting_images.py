"""Images as data URIs and grids."""

from __future__ import annotations

import base64
import io

import numpy as np
import pytest
from PIL import Image

from seewhy.reporting.images import image_grid, png_data_uri, thumbnail_data_uri


def opened(uri: str) -> Image.Image:
    return Image.open(io.BytesIO(base64.b64decode(uri.partition("base64,")[2])))


@pytest.mark.parametrize("shape", [(5, 7), (5, 7, 1), (5, 7, 3)])
def test_a_png_holds_every_pixel(shape: tuple[int, ...]) -> None:
    array = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    uri = png_data_uri(array)
    assert uri.startswith("data:image/png;base64,")
    np.testing.assert_array_equal(np.asarray(opened(uri)), array.squeeze())


def test_a_photograph_becomes_a_small_jpeg_of_the_same_shape() -> None:
    uri = thumbnail_data_uri(np.zeros((600, 900, 3), dtype=np.uint8))
    assert uri.startswith("data:image/jpeg;base64,")
    assert opened(uri).size == (224, 149)
    assert thumbnail_data_uri(np.zeros((96, 96, 3), dtype=np.uint8)).startswith("data:image/png")


def test_a_grid_lays_images_out_row_by_row() -> None:
    images = [np.full((2, 3, 1), value, dtype=np.uint8) for value in (10, 20, 30)]
    grid = image_grid(images, columns=2, gap=1, fill=0)
    assert grid.shape == (5, 7, 1)
    expected = [[10, 10, 10, 0, 20, 20, 20]] * 2 + [[0] * 7] + [[30, 30, 30, 0, 0, 0, 0]] * 2
    np.testing.assert_array_equal(grid[:, :, 0], expected)
    assert image_grid(np.zeros((9, 4, 4, 3), dtype=np.uint8)).shape == (14, 14, 3)
    assert image_grid(np.zeros((4, 4, 4), dtype=np.uint8), gap=0).shape == (8, 8, 1)


def test_a_grid_of_nothing_or_of_mixed_sizes_is_refused() -> None:
    with pytest.raises(ValueError, match="images: must hold at least one image"):
        image_grid([])
    with pytest.raises(ValueError, match="images: must share one size"):
        image_grid([np.zeros((2, 2), np.uint8), np.zeros((3, 3), np.uint8)])
