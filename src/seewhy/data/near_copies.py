"""Near duplicates: copies that were resized, compressed again, brightened or mirrored, found without comparing all pairs.

Of each image, made grey and 32 x 32, the signs of the 64 lowest frequencies of the discrete cosine transform, without the mean, are a hash
(Zauner 2010). Brightness and contrast do not change it, and mirroring flips the signs of the odd horizontal frequencies, known bits. Hashes
that differ in few bits are found by multi-index hashing (Norouzi et al. 2012, 1307.2982): they agree, but for one bit, in one of four bands of
16 bits, so each image looks up 4 x 17 buckets. What is found there is a candidate; it counts if the images themselves agree, in the large and
in the small.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn import functional as F

from seewhy.core import seeding
from seewhy.data.audit import Issue, count, some
from seewhy.data.dataset import Dataset, Store
from seewhy.data.split_rules import SPLIT_NAMES

SIDE, BITS, BANDS = 32, 64, 4
MOST_BITS = 8
"""Bits in which hashes of near duplicates differ at most. Up to seven, four bands, each but for one bit, are sure to find."""

SMALLEST = 24
"""Pixels of the shorter side from which on a copy can be told from a likeness."""

BUCKET = 32
"""Images of a bucket that are looked at: more have a hash that says nothing, such as that of a blank page."""

LARGE, SMALL = 0.95, 0.85
"""Least correlation of two near duplicates at 16 x 16, and of what is left of them when the surroundings of each pixel are subtracted."""

ALIKE, SAMPLED, CHANCE = 2, 3000, 30
"""Pairs for each image, by a sample, from which on they tell nothing; and the pairs in a sample that may be chance."""

CHUNK = 1024

Hashes = npt.NDArray[np.uint64]
Rows = npt.NDArray[np.int64]


@dataclass(frozen=True)
class NearPair:
    """Two images that are nearly the same.

    Attributes:
        splits: of the first and the second.
        positions: within their splits.
        names: of the images.
        classes: their classes.
        mirrored: whether one is the mirror image of the other.
        likeness: correlation of their grey values, at 16 x 16 pixels.
    """

    splits: tuple[str, str]
    positions: tuple[int, int]
    names: tuple[str, str]
    classes: tuple[str, str]
    mirrored: bool
    likeness: float


@dataclass(frozen=True)
class NearDuplicates:
    """What was found.

    Attributes:
        pairs: the likest first.
        skipped: why they were not looked for; "" where they were.
    """

    pairs: tuple[NearPair, ...] = ()
    skipped: str = ""

    def issues(self) -> list[Issue]:
        """Return what is wrong, as the audit says it."""
        if self.skipped:
            return [Issue("near_duplicate", "note", f"near duplicates were not looked for: {self.skipped}")]
        issues = []
        for told in ({"train", "val"}, {"train", "test"}, {"val", "test"}):
            across = [pair for pair in self.pairs if set(pair.splits) == told]
            if across:
                one, other = sorted(told, key=SPLIT_NAMES.index)
                message = (
                    f"{count(len(across), 'pair')} of nearly the same images in the {one} and the {other} split, so figures of {other} flatter: "
                    f"{some([_shown(pair) for pair in across])}; remove one of each, or keep them together with data.group"
                )
                issues.append(Issue("near_leakage", "warning", message, _names(across)))
        within = [pair for pair in self.pairs if pair.splits == ("train", "train")]
        if within:
            message = f"{count(len(within), 'pair')} of nearly the same images in the train split: {some([_shown(pair) for pair in within])}"
            issues.append(Issue("near_duplicate", "note", message, _names(within)))
        opposed = [pair for pair in self.pairs if pair.classes[0] != pair.classes[1]]
        if opposed:
            shown = some([f"{_shown(pair)} ({' and '.join(pair.classes)})" for pair in opposed])
            message = f"{count(len(opposed), 'pair')} of nearly the same images under different classes: {shown}; look which is right"
            issues.append(Issue("conflicting_labels", "warning", message, _names(opposed)))
        return issues


def _shown(pair: NearPair) -> str:
    return f"{pair.names[0]} and {pair.names[1]}{' (mirrored)' * pair.mirrored}"


def _names(pairs: Sequence[NearPair]) -> tuple[str, ...]:
    return tuple(sorted({name for pair in pairs for name in pair.names}))


@dataclass(frozen=True)
class LikeRows:
    """Near duplicates as rows of a data set, whatever its splits are.

    Attributes:
        rows: (row, later row, whether mirrored, likeness).
        skipped: why they were not looked for; "" where they were.
    """

    rows: tuple[tuple[int, int, bool, float], ...] = ()
    skipped: str = ""


def near_duplicates(dataset: Dataset) -> NearDuplicates:
    """Return the images of a data set that are nearly the same, but not identical: the audit tells of those."""
    return pairs_of(dataset, like_rows(dataset))


def like_rows(dataset: Dataset) -> LikeRows:
    """Look for near duplicates among all images of a data set."""
    if min(dataset.height, dataset.width) < SMALLEST:
        return LikeRows(skipped=f"in {dataset.width} x {dataset.height} pixels a copy cannot be told from a likeness")
    rows = torch.unique(torch.cat([split.sample_ids for split in dataset.splits.values()]))
    thumbnails = thumbnails_of(dataset.train.store, rows)
    if _alike(thumbnails):
        return LikeRows(
            skipped="images are so alike, as simple drawings or frames of films are, that most would be in several pairs; data.group keeps what "
            "belongs together in one split"
        )
    numbers = rows.tolist()
    return LikeRows(tuple((numbers[i], numbers[j], *more) for i, j, *more in like_pairs(thumbnails)))


def pairs_of(dataset: Dataset, found: LikeRows) -> NearDuplicates:
    """Return near duplicates by where they lie in the splits; a pair of which one is in no split is none."""
    splits = dataset.splits
    where = {
        row: (name, position)
        for name in reversed(splits)
        for position, row in enumerate(splits[name].sample_ids.tolist())
    }
    pairs = []
    for one, other, mirrored, likeness in found.rows:
        if one not in where or other not in where:
            continue
        (a, i), (b, j) = sorted((where[one], where[other]), key=lambda place: (SPLIT_NAMES.index(place[0]), place[1]))
        if splits[a].hashes[i] == splits[b].hashes[j]:
            continue
        labels = dataset.classes[int(splits[a].labels[i])], dataset.classes[int(splits[b].labels[j])]
        names = str(splits[a].names[i]), str(splits[b].names[j])
        pairs.append(NearPair((a, b), (i, j), names, labels, mirrored, likeness))
    return NearDuplicates(tuple(sorted(pairs, key=lambda pair: (-pair.likeness, pair.names))), found.skipped)


def _alike(thumbnails: Tensor) -> bool:
    """Whether there would be more than a few pairs for each image, by a sample of them."""
    n, sampled = len(thumbnails), min(len(thumbnails), SAMPLED)
    rows = torch.randperm(n, generator=seeding.rng(0, "near duplicates"))[:sampled]
    most = max(CHANCE, ALIKE * sampled**2 // max(n, 1))
    return len(list(itertools.islice(like_pairs(thumbnails[rows]), most + 1))) > most


def thumbnails_of(store: Store, rows: Tensor) -> Tensor:
    """Return images of int64 rows [n] grey and small: uint8 (n, 32, 32)."""
    parts = []
    for some_rows in torch.split(rows, CHUNK):
        grey = store.images(some_rows).float().mean(1, keepdim=True)
        small = (
            F.adaptive_avg_pool2d(grey, SIDE)
            if min(grey.shape[2:]) >= SIDE
            else F.interpolate(grey, (SIDE, SIDE), mode="bilinear", align_corners=False)
        )
        parts.append(small[:, 0].round().clamp(0, 255).to(torch.uint8))
    return torch.cat(parts) if parts else torch.zeros((0, SIDE, SIDE), dtype=torch.uint8)


def like_pairs(thumbnails: Tensor) -> Iterator[tuple[int, int, bool, float]]:
    """Yield (row, later row, whether mirrored, likeness) of thumbnails uint8 (n, 32, 32) that are nearly the same."""
    told = set[tuple[int, int]]()
    hashes, mirror = perceptual_hashes(thumbnails)
    textured = thumbnails.flatten(1).float().std(1).numpy() >= 1
    rows = np.flatnonzero(textured)
    for mirrored in (False, True):
        found = _candidates(hashes[rows], mirror if mirrored else np.uint64(0))
        for start in range(0, len(found), CHUNK):
            pairs = rows[found[start : start + CHUNK]]
            one, other = (thumbnails[torch.from_numpy(side)].float() for side in (pairs[:, 0], pairs[:, 1]))
            one, other = _halved(one), _halved(other.flip(2) if mirrored else other)
            large, small = _correlation(one, other), _correlation(_detail(one), _detail(other))
            for (i, j), likeness, detail in zip(pairs.tolist(), large.tolist(), small.tolist(), strict=True):
                if likeness >= LARGE and detail >= SMALL and (i, j) not in told:
                    told.add((i, j))
                    yield i, j, mirrored, likeness


def perceptual_hashes(thumbnails: Tensor) -> tuple[Hashes, np.uint64]:
    """Return the hash of each of uint8 (n, 32, 32), uint64 (n), and the bits that mirroring flips."""
    grid = torch.arange(SIDE, dtype=torch.float32)
    basis = torch.cos(torch.pi * grid[:, None] * (grid + 0.5) / SIDE)  # DCT-II; the scale does not change signs
    lowest = sorted(((u, v) for u in range(12) for v in range(12)), key=lambda f: (f[0] ** 2 + f[1] ** 2, f))[
        1 : BITS + 1
    ]
    # Frequencies go round the bands, so that each has strong and weak ones.
    places = [BITS // BANDS * (k % BANDS) + k // BANDS for k in range(BITS)]
    hashes = np.zeros(len(thumbnails), np.uint64)
    rows, columns = torch.tensor(lowest).T
    for start in range(0, len(thumbnails), CHUNK):
        waves = basis @ thumbnails[start : start + CHUNK].float() @ basis.T
        signs = (waves[:, rows, columns] > 0).numpy()
        for k, place in enumerate(places):
            hashes[start : start + CHUNK] |= signs[:, k].astype(np.uint64) << np.uint64(place)
    odd = sum(1 << place for (_, v), place in zip(lowest, places, strict=True) if v % 2)
    return hashes, np.uint64(odd)


def _candidates(hashes: Hashes, flipped: np.uint64) -> Rows:
    """Return pairs (i, j), i < j, int64 (m, 2), whose hashes differ in few bits once `flipped` are flipped in one."""
    width = BITS // BANDS
    found = [np.zeros((0, 2), np.int64)]
    for band in range(BANDS):
        shift, mask = np.uint64(band * width), np.uint64((1 << width) - 1)
        buckets, asked = (hashes >> shift) & mask, ((hashes ^ flipped) >> shift) & mask
        order = np.argsort(buckets, kind="stable")
        ordered = buckets[order]
        for probe in (0, *(1 << bit for bit in range(width))):
            low = np.searchsorted(ordered, asked ^ np.uint64(probe), "left")
            size = np.minimum(np.searchsorted(ordered, asked ^ np.uint64(probe), "right") - low, BUCKET)
            i = np.repeat(np.arange(len(hashes)), size)
            j = order[np.arange(len(i)) - np.repeat(np.cumsum(size) - size, size) + np.repeat(low, size)]
            near = (i < j) & (np.bitwise_count(hashes[i] ^ flipped ^ hashes[j]) <= MOST_BITS)
            found.append(np.stack([i[near], j[near]], axis=1))
    return np.unique(np.concatenate(found), axis=0)


def _correlation(one: Tensor, other: Tensor) -> Tensor:
    """Return the correlation of (n, H, W) with (n, H, W), (n)."""
    a, b = (x.flatten(1) - x.flatten(1).mean(1, keepdim=True) for x in (one, other))
    scale: Tensor = (a * b).sum(1) / (a.norm(dim=1) * b.norm(dim=1)).clamp_min(1e-6)
    return scale


def _detail(images: Tensor) -> Tensor:
    """Return (n, H, W) without the mean of each pixel's surroundings."""
    means = F.avg_pool2d(images[:, None], 5, stride=1, padding=2, count_include_pad=False)[:, 0]
    return images - means


def _halved(images: Tensor) -> Tensor:
    """Return (n, 32, 32) at half the size, where compression and resizing have changed little."""
    return F.avg_pool2d(images[:, None], 2)[:, 0]
