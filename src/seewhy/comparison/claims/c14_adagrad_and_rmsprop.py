"""C14: AdaGrad equalises the coordinates and then stalls; RMSprop does not stall."""

from __future__ import annotations

from seewhy.comparison.claims.adaptive import described, drawn, watched
from seewhy.comparison.claims.base import Claim, Criterion, Measured, differences, paired
from seewhy.comparison.claims.fitting import Fit
from seewhy.comparison.claims.setting import Setting

METHODS = ("sgd", "adagrad", "rmsprop")


def measure(setting: Setting) -> Measured:
    """Measure how equal updates are over the coordinates, what is left of the step in the end, and the loss reached."""
    steps = setting.amount(1_500, 60)
    found = watched(setting, METHODS, steps, Fit.last)
    decades = {method: [watch.decades for watch in seen.watches] for method, seen in found.items()}
    kept = {method: tuple(watch.kept() for watch in seen.watches) for method, seen in found.items()}
    losses = {method: seen.figures for method, seen in found.items()}
    return Measured(
        criteria=(
            Criterion(
                text="AdaGrad makes the coordinates' paths more equal than SGD",
                measure="log10 of long over short paths (90% over 10% quantile of the weights), AdaGrad minus SGD",
                values=differences(decades, "adagrad", "sgd"),
                high=0.0,
            ),
            Criterion(
                text="AdaGrad's step for a given gradient falls below half",
                measure="median over the weights of |update| / |gradient|, last tenth / first tenth of the steps, AdaGrad",
                values=kept["adagrad"],
                high=0.5,
                kind="ratio",
            ),
            Criterion(
                text="RMSprop's does not",
                measure="the same, RMSprop",
                values=kept["rmsprop"],
                low=0.5,
                kind="ratio",
            ),
            Criterion(
                text="so AdaGrad ends at a higher training loss than RMSprop",
                measure="median training loss of the last tenth of the steps, AdaGrad / RMSprop",
                values=paired(losses, "adagrad", "rmsprop"),
                low=1.0,
                kind="ratio",
            ),
        ),
        experiment=described(found, steps, "the rate with the lowest training loss in the end"),
        figure=drawn(found),
    )


CLAIM = Claim(
    code="C14",
    title="AdaGrad equalises and stalls, RMSprop does not stall",
    sentence="AdaGrad equalises the coordinates and then stalls; RMSprop does not stall.",
    source="Duchi et al. 2011 scale each coordinate by the sum of its squared gradients, for convex and sparse problems, where "
    "the shrinking is wanted. "
    "Tieleman & Hinton 2012 (lecture 6.5) put a running mean in the sum's place, so that old gradients are forgotten.",
    measure=measure,
)
