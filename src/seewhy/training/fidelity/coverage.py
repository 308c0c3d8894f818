"""Which classes a generator draws, by a recogniser's word: collapse in numbers.

Letters: q_k the share of drawn pictures that the recogniser puts into class k, p_k that of the data, K classes, n pictures.

    KL = sum over k of q_k log(q_k / p_k)

is 0 if the classes come in the data's proportions, log(1 / p_k) if all are of class k, and (K - 1) / 2n on average by chance alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor

from seewhy.core.errors import InputError, bad_value


@dataclass(frozen=True)
class ClassCoverage:
    """The classes of drawn pictures.

    Attributes:
        shares: q_k, by class.
        data: p_k, by class.
        covered: classes that have at least `least` times their share of the data.
        classes: those that the data have.
        collapsed: whether a class is not covered.
        kl: in nats.
        kl_by_chance: what it would be on average if the pictures were drawn in the data's proportions.
        effective: exp(entropy of q): as many equally frequent classes would be as varied.
        confidence: mean probability of the class that a picture was put into; low if pictures are like nothing.
        least: see `covered`.
        n: drawn pictures.
        recogniser: whose word.
    """

    shares: tuple[float, ...]
    data: tuple[float, ...]
    covered: int
    classes: int
    collapsed: bool
    kl: float
    kl_by_chance: float
    effective: float
    confidence: float
    least: float
    n: int
    recogniser: str

    def to_json(self) -> dict[str, Any]:
        """Return the fields as JSON values."""
        return {**asdict(self), "shares": list(self.shares), "data": list(self.data)}


def class_coverage(
    probabilities: Tensor, data: Tensor | Sequence[float], *, recogniser: str, least: float = 0.1
) -> ClassCoverage:
    """Measure which classes drawn pictures are of.

    Args:
        probabilities: of the recogniser for drawn pictures, floating (n, K).
        data: pictures of each class in the data, or their shares, (K).
        recogniser: whose probabilities these are, in words.
        least: the share of a class's share in the data from which it counts as covered.

    Raises:
        InputError: shapes do not fit, there are no pictures, numbers are negative, or pictures were put into a class that the data have not.
    """
    wanted = torch.as_tensor(data, dtype=torch.float64)
    if probabilities.dim() != 2 or not len(probabilities) or not probabilities.is_floating_point():
        raise bad_value(
            "probabilities", f"{probabilities.dtype} {tuple(probabilities.shape)}", "floating (n, K), n at least 1"
        )
    if wanted.shape != probabilities.shape[1:] or bool((wanted < 0).any()) or not float(wanted.sum()) > 0:
        raise bad_value(
            "data", tuple(wanted.tolist()), f"{probabilities.shape[1]} counts or shares, at least 0, not all 0"
        )
    if not 0 < least <= 1:
        raise bad_value("least", least, "above 0 and at most 1")
    p, n = wanted / wanted.sum(), len(probabilities)
    sure, which = probabilities.double().cpu().max(1)
    q = torch.bincount(which, minlength=len(p)).double() / n
    if bool(((p == 0) & (q > 0)).any()):
        raise InputError("data: has no picture of a class that the recogniser sees; leave such classes out of both")
    there = p > 0
    covered, classes = int((q[there] >= least * p[there]).sum()), int(there.sum())
    return ClassCoverage(
        shares=tuple(q.tolist()),
        data=tuple(p.tolist()),
        covered=covered,
        classes=classes,
        collapsed=covered < classes,
        kl=float(torch.special.xlogy(q[there], q[there] / p[there]).sum()),
        kl_by_chance=(classes - 1) / (2 * n),
        effective=float(torch.special.entr(q).sum().exp()),
        confidence=float(sure.mean()),
        least=least,
        n=n,
        recogniser=recogniser,
    )
