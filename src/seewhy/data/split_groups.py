"""Splits that keep groups whole: all images of a patient, a lesion, a video go to one side.

Letters: G groups, K classes; counts (G, K) are the images of each class in each group.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from seewhy.core.errors import InputError
from seewhy.core.seeding import derive

Purpose = tuple[int, str]
"""Seed and purpose: what the order of the groups is a function of, beside their names."""


class Units:
    """Groups of images that are not to be divided."""

    def __init__(self, groups: Sequence[str], splits: npt.NDArray[np.int64], used: npt.NDArray[np.bool_]) -> None:
        """Number the groups.

        Args:
            groups: N texts.
            splits: int64 [N], what the data say, at least 0, or less where they say nothing.
            used: bool [N].

        Raises:
            InputError: there is but one group, or the data divide one themselves.
        """
        names, number = np.unique(np.asarray(groups, dtype=object), return_inverse=True)
        self._names: list[str] = names.tolist()
        self._number = np.asarray(number, np.int64)
        present = np.unique(self._number[used])
        if len(present) < 2:
            raise InputError(
                f"group: all images are of one group ({self._names[present[0]]!r}), which cannot be divided"
            )
        given = np.unique(np.stack([self._number, splits])[:, used & (splits >= 0)], axis=1)
        divided = [
            self._names[g] for g, times in zip(*np.unique(given[0], return_counts=True), strict=True) if times > 1
        ]
        if divided:
            raise InputError(
                f"group: the data's own split divides {len(divided):,} groups, such as {', '.join(divided[:3])}; "
                "correct the split, or leave the groups or the split out"
            )

    def share(
        self, candidates: npt.NDArray[np.int64], labels: npt.NDArray[np.int64], fraction: float, purpose: Purpose
    ) -> npt.NDArray[np.int64]:
        """Return the rows of a share of the candidates: whole groups, each class near `fraction` of its images.

        In the order of a hash, a group is taken if that brings the counts h nearer to their targets t, by sum_k (t_k - h_k)^2 / n_k, and leaves
        every class an image. If that takes none, the one that comes nearest is taken, unless it is the last.
        """
        counts, order = self._counts(candidates, labels, purpose)
        total = counts.sum(0)
        target = np.where(total > 1, np.clip((total * fraction + 0.5).astype(np.int64), 1, np.maximum(total - 1, 1)), 0)
        scale, have, taken = np.maximum(total, 1), np.zeros_like(total), list[int]()

        def gain(group: int) -> float:
            gap = target - have
            return float(((gap**2 - (gap - counts[group]) ** 2) / scale).sum())

        for group in order:
            if gain(group) > 0 and (total - have - counts[group])[counts[group] > 0].all():
                taken.append(group)
                have += counts[group]
        if not taken and len(order) > 1:
            taken = [max(order, key=gain)]
        return candidates[np.isin(self._number[candidates], taken)]

    def folds(
        self, candidates: npt.NDArray[np.int64], labels: npt.NDArray[np.int64], count: int, purpose: Purpose
    ) -> npt.NDArray[np.int64]:
        """Return for each candidate its part, from 0: the largest groups first, each goes where its classes are fewest.

        Raises:
            InputError: there are fewer groups than parts.
        """
        counts, order = self._counts(candidates, labels, purpose)
        if len(order) < count:
            raise InputError(f"folds: {len(order)} groups cannot be {count} parts; lower it to at most {len(order)}")
        total, load = np.maximum(counts.sum(0), 1), np.zeros((count, counts.shape[1]), np.int64)
        part = np.zeros(len(counts), np.int64)
        for group in sorted(order, key=lambda g: -int(counts[g].sum())):
            cost = ((2 * load + counts[group]) * counts[group] / total).sum(1).round(9)
            part[group] = np.lexsort((load.sum(1), cost))[0]
            load[part[group]] += counts[group]
        return part[self._number[candidates]]

    def _counts(
        self, candidates: npt.NDArray[np.int64], labels: npt.NDArray[np.int64], purpose: Purpose
    ) -> tuple[npt.NDArray[np.int64], list[int]]:
        """Return the images of each group and class, and the groups that have any, in the order of the hash."""
        counts = np.zeros((len(self._names), int(labels.max()) + 1), np.int64)
        np.add.at(counts, (self._number[candidates], labels[candidates]), 1)
        place = {
            int(g): derive(purpose[0], "split", purpose[1], self._names[g]) for g in np.unique(self._number[candidates])
        }
        return counts, sorted(place, key=lambda g: (place[g], self._names[g]))
