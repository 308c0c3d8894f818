"""Two variants on the same test images: are they right on different ones, and does the difference hold for other seeds and for other images?

A difference of two accuracies has two sources of doubt. With other seeds the networks would differ; with other test images the figures would.
Seeds alone answer "would I see this again if I trained again and tested on these images?", both together "... on other images of the kind?".
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from seewhy.core.errors import bad_value
from seewhy.metrics.array_input import boolean_array

if TYPE_CHECKING:
    from numpy.typing import ArrayLike


@dataclass(frozen=True)
class McNemar:
    """McNemar's exact test.

    Attributes:
        only_a: images that only A gets right.
        only_b: images that only B gets right.
        p_value: two-sided.
    """

    only_a: int
    only_b: int
    p_value: float


def mcnemar(a: ArrayLike, b: ArrayLike) -> McNemar:
    """Compare two classifiers on the same images (McNemar 1947; exact binomial form).

    Without a difference each of the k images that only one gets right falls to either with probability 1/2:
    p = min(1, 2 P(Binomial(k, 1/2) <= min(only_a, only_b))). It is about these two networks: other seeds are not in it.

    Args:
        a: bool (I), whether A is right.
        b: likewise.

    Raises:
        InputError: a and b are not boolean vectors of the same length.
    """
    from scipy.special import bdtr

    right_a, right_b = boolean_array("a", a, 1), boolean_array("b", b, 1)
    if right_a.shape != right_b.shape:
        raise bad_value("b", right_b.shape, f"{right_a.shape}, the images of a")
    only_a, only_b = int((right_a & ~right_b).sum()), int((right_b & ~right_a).sum())
    return McNemar(only_a, only_b, min(1.0, 2 * float(bdtr(min(only_a, only_b), only_a + only_b, 0.5))))


@dataclass(frozen=True)
class Source:
    """Doubt of one kind.

    Attributes:
        standard_error: of the mean difference.
        degrees_of_freedom: of its estimate.
        interval: of the mean difference, Student's.
    """

    standard_error: float
    degrees_of_freedom: float
    interval: tuple[float, float]


@dataclass(frozen=True)
class CorrectnessDifference:
    """A difference of accuracies by source of doubt.

    Attributes:
        seeds: S.
        images: I.
        mean: accuracy of A minus that of B.
        over_seeds: other seeds, these images; None for a single seed.
        over_images: these seeds, other images; None for a single image.
        over_both: other seeds and other images; None where one of the two is.
    """

    seeds: int
    images: int
    mean: float
    over_seeds: Source | None
    over_images: Source | None
    over_both: Source | None


def correctness_difference(a: ArrayLike, b: ArrayLike, confidence: float = 0.95) -> CorrectnessDifference:
    """Tell the doubt from seeds and from test images apart, by crossed random effects.

    The differences D_si = a_si - b_si are mu + seed_s + image_i + e_si. With the mean squares of the two-way table, MS_S (S - 1 degrees of
    freedom), MS_I (I - 1) and MS_E ((S-1)(I-1)), the variances of the mean are

        over seeds   MS_S / (S I)
        over images  MS_I / (S I)
        over both    (MS_S' + MS_I' - MS_E) / (S I),   MS' = max(MS, MS_E): components of variance are not negative

    the last with Satterthwaite's (1946) degrees of freedom. Owen (2007, "The pigeonhole bootstrap") shows why both must be counted.

    Args:
        a: bool (S, I), whether A is right with seed s at image i.
        b: likewise, the same seeds and images.
        confidence: within (0, 1).

    Raises:
        InputError: a and b are not boolean matrices of the same shape, or confidence is not within (0, 1).
    """
    import numpy as np

    if not 0 < confidence < 1:
        raise bad_value("confidence", confidence, "within (0, 1)")
    right_a, right_b = boolean_array("a", a, 2), boolean_array("b", b, 2)
    if right_a.shape != right_b.shape:
        raise bad_value("b", right_b.shape, f"{right_a.shape}, the seeds and images of a")
    S, I = right_a.shape  # noqa: E741
    D = right_a.astype(np.float64) - right_b
    mean, by_seed, by_image = float(D.mean()), D.mean(1), D.mean(0)
    MS_S = I * float(by_seed.var(ddof=1)) if S > 1 else 0.0
    MS_I = S * float(by_image.var(ddof=1)) if I > 1 else 0.0
    over_seeds = _source(mean, MS_S / (S * I), S - 1, confidence) if S > 1 else None
    over_images = _source(mean, MS_I / (S * I), I - 1, confidence) if I > 1 else None
    if S == 1 or I == 1:
        return CorrectnessDifference(S, I, mean, over_seeds, over_images, None)
    residual = float(((D - by_seed[:, None] - by_image + mean) ** 2).sum())
    MS_E = residual / ((S - 1) * (I - 1))
    total = max(MS_S, MS_E) + max(MS_I, MS_E) - MS_E
    parts = MS_S**2 / (S - 1) + MS_I**2 / (I - 1) + MS_E**2 / ((S - 1) * (I - 1))
    freedom = max(total**2 / parts, S - 1) if parts > 0 else S - 1
    return CorrectnessDifference(
        S, I, mean, over_seeds, over_images, _source(mean, total / (S * I), freedom, confidence)
    )


def _source(mean: float, variance: float, freedom: float, confidence: float) -> Source:
    from scipy.special import stdtrit

    error = math.sqrt(variance)
    half = float(stdtrit(freedom, (1 + confidence) / 2)) * error
    return Source(error, float(freedom), (mean - half, mean + half))
