"""The figure of augmentations: every variant stands in its cell, names are escaped, nothing is loaded."""

import base64
import io
from html.parser import HTMLParser

import numpy as np
import pytest
from PIL import Image

from seewhy.core.errors import InputError
from seewhy.reporting.augmentations import augmentation_fragment, augmentation_sheet
from seewhy.reporting.records import AugmentationRecord, AugmentedRow

HOSTILE = "</style><script>alert(1)</script>\" onerror='x' \u202e"


def random_images(count, shape=(6, 8, 3), *, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (count, *shape), dtype=np.uint8)


def record(shape=(6, 8, 3), **names):
    images = random_images(3, shape)
    flipped = AugmentedRow("flip", images[:, :, ::-1])
    erased = AugmentedRow(names.get("name", "erasing"), random_images(3, shape, seed=1), names.get("text", "2 pixels"))
    return AugmentationRecord(images, [flipped, erased])


class Elements(HTMLParser):
    def __init__(self, text):
        super().__init__()
        self.elements, self.words = [], ""
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))

    def handle_data(self, data):
        self.words += data

    def images(self):
        return [attributes for tag, attributes in self.elements if tag == "img"]


@pytest.mark.parametrize("shape", [(6, 8, 3), (7, 5, 1)])
def test_the_fragment_holds_every_pixel_of_every_variant_row_by_row(shape):
    given = record(shape)
    parsed = Elements(augmentation_fragment(given))
    expected = [image for row in (given.images, *(row.images for row in given.rows)) for image in row]
    assert len(parsed.images()) == len(expected)
    for attributes, image in zip(parsed.images(), expected, strict=True):
        shown = Image.open(io.BytesIO(base64.b64decode(attributes["src"].partition("base64,")[2])))
        np.testing.assert_array_equal(np.asarray(shown), image.squeeze())
    assert [attributes["alt"] for attributes in parsed.images()][4] == "Image 2 of 3, flip"
    assert "image-rendering:pixelated" in augmentation_fragment(given)
    assert "2 pixels" in parsed.words


def test_names_are_escaped_and_nothing_is_loaded():
    text = augmentation_fragment(record(name=HOSTILE, text=HOSTILE))
    parsed = Elements(text)
    assert {tag for tag, _ in parsed.elements} == {"figure", "style", "table", "tr", "th", "td", "img", "small"}
    assert all(set(attributes) == {"src", "alt"} for attributes in parsed.images())
    assert all(attributes["src"].startswith("data:image/") for attributes in parsed.images())
    assert "url(" not in text
    assert "http" not in text


def test_photographs_are_shown_small_and_smooth():
    text = augmentation_fragment(record((300, 400, 3)))
    assert "image/jpeg" in text
    assert "pixelated" not in text
    assert "width:112px" in text


def test_the_sheet_shows_enlarged_images_beside_the_names():
    given = record((6, 8, 3))
    sheet = augmentation_sheet(given, side=16, gap=2)
    tall, wide = 12, 16
    assert sheet.shape[0] == 3 * tall + 4 * 2
    for index, row in enumerate((given.images, *(row.images for row in given.rows))):
        band = sheet[2 + index * (tall + 2) :][:tall]
        for column, image in enumerate(row):
            right = sheet.shape[1] - 2 - (3 - column) * (wide + 2)
            shown = band[:, right : right + wide]
            np.testing.assert_array_equal(shown, np.repeat(np.repeat(image, 2, axis=0), 2, axis=1))
        name = band[:, : sheet.shape[1] - 2 - 3 * (wide + 2)]
        assert name.min() < 100


def test_the_sheet_downsamples_large_images_and_takes_grey_ones():
    sheet = augmentation_sheet(record((300, 200, 1)), side=90, gap=4)
    assert sheet.shape[0] == 3 * 90 + 4 * 4
    assert sheet.shape[2] == 3


def test_a_record_without_images_or_with_a_short_row_raises():
    with pytest.raises(InputError, match="images: must be at least one, got 0"):
        AugmentationRecord([], [])
    with pytest.raises(InputError, match="variants of 'flip': must be one for each of 3 images, got 2"):
        AugmentationRecord(random_images(3), [AugmentedRow("flip", random_images(2))])
