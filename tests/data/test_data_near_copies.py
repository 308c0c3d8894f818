"""Near duplicates: copies are found however they were changed, different images are not, and likenesses are not taken for copies."""

from __future__ import annotations

import io
from collections.abc import Callable

import numpy as np
import pytest
import torch
from PIL import Image, ImageEnhance, ImageOps

from seewhy.data import SplitOptions, near_duplicates
from seewhy.data.load import load_dataset
from seewhy.data.near_copies import MOST_BITS, like_pairs, perceptual_hashes

SIZE = 48


def grown(values, side):
    """Return [h, w, C] as a smooth [side, side, C]."""
    planes = [Image.fromarray(plane.astype(np.float32)) for plane in np.moveaxis(values, -1, 0)]
    return np.stack([np.asarray(plane.resize((side, side), Image.Resampling.BICUBIC)) for plane in planes], axis=-1)


def picture(seed: int) -> Image.Image:
    """Smooth shapes of several scales, like a photograph's."""
    random = np.random.default_rng(seed)
    pixels = sum(grown(random.normal(size=(n, n, 3)) / n**0.7, SIZE) for n in (2, 4, 8, 16))
    low, high = pixels.min(), pixels.max()
    return Image.fromarray(((pixels - low) / (high - low) * 255).astype(np.uint8))


def recompressed(image: Image.Image, quality: int = 40) -> Image.Image:
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=quality)
    return Image.open(buffer).convert("RGB")


def resized(image: Image.Image) -> Image.Image:
    return image.resize((SIZE // 2, SIZE // 2), Image.Resampling.BICUBIC).resize(
        (SIZE, SIZE), Image.Resampling.BILINEAR
    )


CHANGES: dict[str, Callable[[Image.Image], Image.Image]] = {
    "resized": resized,
    "recompressed": recompressed,
    "mirrored": ImageOps.mirror,
    "brightened": lambda image: ImageEnhance.Brightness(image).enhance(1.2),
    "darkened": lambda image: ImageEnhance.Contrast(image).enhance(0.7),
    "all": lambda image: recompressed(ImageEnhance.Brightness(ImageOps.mirror(resized(image))).enhance(1.1), 60),
}


def thumbnails(images):
    return torch.stack(
        [
            torch.from_numpy(np.asarray(image.convert("L").resize((32, 32), Image.Resampling.BOX)).copy())
            for image in images
        ]
    )


@pytest.fixture(scope="module")
def pictures():
    return [picture(seed) for seed in range(200)]


@pytest.mark.parametrize("change", CHANGES)
def test_changed_copies_are_found_and_nothing_else(pictures, change):
    small = thumbnails([*pictures, *map(CHANGES[change], pictures)])
    pairs = [(i, j, mirrored) for i, j, mirrored, _ in like_pairs(small)]
    assert all(j - i == len(pictures) for i, j, _ in pairs)
    assert len(pairs) >= 0.97 * len(pictures)
    assert {mirrored for *_, mirrored in pairs} == {change in ("mirrored", "all")}


def test_mirroring_flips_known_bits(pictures):
    small = thumbnails(pictures)
    hashes, flipped = perceptual_hashes(small)
    mirrored, _ = perceptual_hashes(small.flip(2))
    assert np.bitwise_count(hashes ^ flipped ^ mirrored).max() <= 1
    assert int(np.bitwise_count(flipped)) > 20
    assert np.bitwise_count(hashes[:100] ^ hashes[100:]).min() > MOST_BITS


def test_every_pair_of_few_bits_is_a_candidate():
    from seewhy.data.near_copies import _candidates

    random = np.random.default_rng(0)
    hashes = random.integers(0, 1 << 63, 400, dtype=np.uint64)
    for i in range(0, 400, 2):
        bits = random.choice(64, random.integers(0, 8), replace=False)
        hashes[i + 1] = hashes[i] ^ np.uint64(sum(1 << int(bit) for bit in bits))
    assert _candidates(hashes, np.uint64(0)).tolist() == [[i, i + 1] for i in range(0, 400, 2)]


@pytest.fixture
def album(tmp_path, pictures):
    """Two classes of twelve; copies of 0 (mirrored), 1 (recompressed, in the other class) and 2 (identical)."""
    for k, name in enumerate(("day", "night")):
        (tmp_path / name).mkdir()
        for i in range(12):
            pictures[12 * k + i].save(tmp_path / name / f"{i:02}.png")
    ImageOps.mirror(pictures[0]).save(tmp_path / "day" / "mirror.png")
    recompressed(pictures[1]).save(tmp_path / "night" / "copy.png")
    pictures[2].save(tmp_path / "day" / "same.png")
    return tmp_path


def test_pairs_of_a_data_set_are_told_by_where_they_lie(album):
    whole = near_duplicates(load_dataset(album, split=SplitOptions(val_fraction=0, test_fraction=0)))
    assert [(pair.names, pair.mirrored) for pair in whole.pairs] == [
        (("day/00.png", "day/mirror.png"), True),
        (("day/01.png", "night/copy.png"), False),
    ]
    kinds = {issue.kind: issue for issue in whole.issues()}
    assert set(kinds) == {"near_duplicate", "conflicting_labels"}
    assert "day/00.png and day/mirror.png (mirrored)" in kinds["near_duplicate"].message
    assert "day/01.png and night/copy.png (day and night)" in kinds["conflicting_labels"].message
    for seed in range(20):
        found = near_duplicates(load_dataset(album, split=SplitOptions(val_fraction=0.4, test_fraction=0, seed=seed)))
        across = [pair for pair in found.pairs if len(set(pair.splits)) == 2]
        assert bool(across) == ("near_leakage" in {issue.kind for issue in found.issues()})
        if across:
            assert across[0].classes == tuple(name.split("/")[0] for name in across[0].names)
            break
    else:
        pytest.fail("no seed parted a pair")


def test_what_cannot_be_told_is_not_looked_for():
    assert "8 x 8 pixels" in near_duplicates(load_dataset("digits")).issues()[0].message
    random = np.random.default_rng(0)
    kinds = grown(random.integers(0, 255, (8, 8, 40)), 24)
    likenesses = np.moveaxis(np.concatenate([kinds] * 80, axis=-1), -1, 0)
    likenesses = np.clip(likenesses + random.normal(0, 3, likenesses.shape), 0, 255).astype(np.uint8)
    found = near_duplicates(load_dataset((likenesses, np.arange(len(likenesses)) % 2)))
    assert not found.pairs
    assert "so alike" in found.skipped
