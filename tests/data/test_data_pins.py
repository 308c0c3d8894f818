"""A run of an earlier version is repeated exactly: splits, fingerprints, orders and augmentation are pinned to their bits."""

import hashlib

import numpy as np
import pytest
import torch
from PIL import Image

from seewhy.data import (
    Cutout,
    DecodeOptions,
    Mix,
    RandomErasing,
    ResizedCrop,
    SplitOptions,
    batches,
    decode,
    list_images,
    load_dataset,
    order,
)
from seewhy.data.augmentation.erase import noise
from seewhy.data.facts import pixel_hash
from seewhy.data.split_rules import TEST, UNDECIDED, VAL, assign

SAMPLE_IDS = torch.arange(24) * 7 + 3


def digest(tensor: torch.Tensor) -> str:
    return hashlib.sha256(tensor.contiguous().numpy().tobytes()).hexdigest()[:16]


def images() -> torch.Tensor:
    x = torch.arange(24 * 16 * 16 * 3).view(24, 16, 16, 3)
    return ((x * x // 7 + x * 37) % 251 + x % 3).to(torch.uint8).permute(0, 3, 1, 2)


@pytest.mark.parametrize(
    ("seed", "val", "test"),
    [
        (0, [17, 22, 42, 45, 46, 50], [5, 7, 18, 20, 29, 36, 37, 54, 58]),
        (1, [6, 18, 19, 20, 44, 55], [1, 14, 21, 22, 23, 24, 28, 47, 57]),
    ],
)
def test_the_split_of_a_seed_and_names(seed, val, test):
    labels = np.arange(60, dtype=np.int64) % 3
    names = [f"{k}/{i}.jpg" for i, k in enumerate(labels)]
    duplicates = np.arange(60, dtype=np.int64)
    duplicates[[30, 33]] = [0, 3]
    given = np.full(60, UNDECIDED, np.int64)
    splits = assign(given, labels, names, val_fraction=None, test_fraction=0.15, seed=seed, duplicates=duplicates)
    assert np.flatnonzero(splits == VAL).tolist() == val
    assert np.flatnonzero(splits == TEST).tolist() == test


def test_the_digits():
    data = load_dataset("digits")
    assert [digest(split.sample_ids) for split in data.splits.values()] == [
        *("7628a52ff27df578", "b74f65ce91d751f6", "5aa7260c65418daa"),
    ]
    assert data.fingerprint == "307ed975ed51719442ff26cd7aa391bf"
    assert (data.mean, data.std) == (pytest.approx((0.3050395721925134,)), pytest.approx((0.3754512975665994,)))
    other = load_dataset(
        "digits",
        decode=DecodeOptions(resolution=12, channels=3),
        split=SplitOptions(val_fraction=0.2, test_fraction=0.3, seed=3),
    )
    assert [digest(split.sample_ids) for split in (other.val, other.test)] == ["25c4ef331228bb6e", "387d3e756ca07c0f"]
    assert other.fingerprint == "b0442ca6751ea62198c9fb6f76ed24d8"


def test_pixel_hashes():
    pixels = (np.arange(2 * 5 * 5 * 3) * 37 % 251).astype(np.uint8).reshape(2, 5, 5, 3)
    assert pixel_hash(pixels).tolist() == [4095396759126103097, 2194248123463833181]


def test_the_fingerprint_of_a_folder(tmp_path):
    for label in "ab":
        for i in range(2):
            path = tmp_path / "set" / label / f"{i}.bmp"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.new("L", (4, 4), i).save(path)
    pixels, encoded = (
        decode(list_images(tmp_path / "set"), DecodeOptions(cache=kind)).fingerprint for kind in ("pixels", "bytes")
    )
    assert pixels == "d86593c9d8d06cf1-25539c0a747b1337174a3c20f45a6bc1"
    assert encoded == "4b77ef45f6a5c821-25539c0a747b1337174a3c20f45a6bc1"


def test_the_order_of_an_epoch():
    assert order(10, seed=5, epoch=3).tolist() == [5, 6, 0, 3, 2, 4, 7, 1, 9, 8]
    steps = batches(load_dataset("digits").val, batch_size=64, seed=1, epoch=2)
    assert [batch.sample_ids[:3].tolist() for batch in steps] == [
        *([1137, 1242, 1315], [762, 1713, 1237], [1374, 364, 1520]),
    ]


def test_windows():
    boxes = ResizedCrop().boxes(SAMPLE_IDS, (16, 16), seed=5, epoch=3)
    assert boxes.top[:8].tolist() == [9, 4, 0, 2, 0, 2, 2, 1]
    assert boxes.left[:8].tolist() == [8, 2, 0, 1, 3, 4, 2, 0]
    assert boxes.height[:8].tolist() == [5, 11, 16, 8, 11, 5, 7, 12]
    assert boxes.width[:8].tolist() == [6, 10, 16, 7, 11, 5, 6, 13]


def test_erased_regions():
    for change, expected in ((Cutout(size=6), "1a29806b764fa6d4"), (RandomErasing(), "e560399b220aeb29")):
        assert digest(change(images(), SAMPLE_IDS, seed=5, epoch=3).permute(0, 2, 3, 1)) == expected
    assert noise(SAMPLE_IDS[:2], 6, seed=5, epoch=3).tolist() == [
        *([194, 56, 12, 14, 110, 80], [29, 119, 114, 81, 157, 63]),
    ]


@pytest.mark.parametrize(
    ("kind", "weight"), [("mixup", [0.44626966, 0.0523895, 0.07854447]), ("cutmix", [0.8125, 0.52734375, 0.71875])]
)
def test_mixtures(kind, weight):
    mixed = Mix(alpha=0.7, kind=kind)(images(), torch.arange(24), SAMPLE_IDS, seed=5, epoch=3)
    assert mixed.labels_b[:8].tolist() == [6, 5, 15, 23, 8, 22, 13, 19]
    assert mixed.weight[:3].tolist() == pytest.approx(weight, rel=1e-6)
    if kind == "cutmix":
        assert digest(mixed.images.permute(0, 2, 3, 1)) == "364bf66bdb280332"
