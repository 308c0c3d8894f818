"""Arrays in memory, kept in the cache as a file that any process can read."""

import numpy as np
import pytest
import torch

from seewhy.core.errors import InputError
from seewhy.data import keep_arrays, load_dataset

RNG = np.random.default_rng(0)
IMAGES = RNG.integers(0, 256, (40, 6, 6, 3), dtype=np.uint8)
LABELS = np.arange(40) % 4


@pytest.mark.parametrize(
    "source",
    [
        (IMAGES, LABELS),
        (torch.from_numpy(IMAGES).permute(0, 3, 1, 2), torch.from_numpy(LABELS)),
        (IMAGES[..., 0], LABELS.astype(str)),
        (IMAGES / 255, LABELS + 5),
        (IMAGES.astype(np.uint16) * 200, LABELS),
        {"x_train": IMAGES[:30], "y_train": LABELS[:30], "x_test": IMAGES[30:], "y_test": LABELS[30:]},
        {"images": IMAGES, "labels": LABELS, "classes": ["d", "c", "b", "a"]},
    ],
)
def test_the_file_is_the_same_data_set(source, tmp_path):
    path = keep_arrays(source, tmp_path)
    kept, given = load_dataset(path, cache_dir=tmp_path), load_dataset(source, cache_dir=tmp_path)
    assert (kept.fingerprint, kept.classes, kept.name) == (given.fingerprint, given.classes, "arrays")
    for split in given.splits:
        rows = torch.arange(len(given.splits[split]))
        assert torch.equal(kept.splits[split].images(rows), given.splits[split].images(rows))
        assert torch.equal(kept.splits[split].labels, given.splits[split].labels)


def test_equal_arrays_are_kept_once_and_others_apart(tmp_path):
    path = keep_arrays((IMAGES, LABELS), tmp_path)
    written = path.stat()
    assert keep_arrays((IMAGES.copy(), list(LABELS)), tmp_path) == path
    assert path.stat() == written
    assert keep_arrays((IMAGES, LABELS[::-1]), tmp_path) != path
    assert keep_arrays((IMAGES[::-1], LABELS), tmp_path) != path


@pytest.mark.parametrize("source", [IMAGES, (IMAGES, None), {"images": IMAGES}])
def test_images_may_stand_alone_for_a_generative_model(source, tmp_path):
    path = keep_arrays(source, tmp_path)
    assert load_dataset(path, labels="optional", cache_dir=tmp_path).classes == ("arrays",)
    with pytest.raises(InputError, match="must hold images and labels"):
        load_dataset(path, cache_dir=tmp_path)


def test_what_cannot_be_used_leaves_nothing(tmp_path):
    for wrong in ((IMAGES, LABELS[:3]), (IMAGES,), (IMAGES - 300.0, LABELS), {"pictures": IMAGES}):
        with pytest.raises(InputError):
            keep_arrays(wrong, tmp_path)
    assert list(tmp_path.iterdir()) == []
