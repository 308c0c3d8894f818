"""C15: Adam joins both: momentum's direction and RMSprop's scale."""

from __future__ import annotations

from seewhy.comparison.claims.adaptive import described, drawn, watched
from seewhy.comparison.claims.base import Claim, Criterion, Measured, differences, paired
from seewhy.comparison.claims.fitting import told_missed
from seewhy.comparison.claims.setting import Setting

METHODS = ("momentum", "rmsprop", "adam")
TARGET = 0.1
"""Nats."""


def measure(setting: Setting) -> Measured:
    """Measure persistence and equality of the updates, and the loss reached."""
    steps = setting.steps(500, 40, epochs=16)
    found = watched(setting, METHODS, steps, lambda fitted: fitted.lateness(TARGET, steps))
    decades = {method: [watch.decades for watch in seen.watches] for method, seen in found.items()}
    persistence = {method: [watch.persistence for watch in seen.watches] for method, seen in found.items()}
    needed = {method: [float(int(figure)) for figure in seen.figures] for method, seen in found.items()}
    return Measured(
        criteria=(
            Criterion(
                text="like momentum, Adam keeps its direction better than RMSprop",
                measure="mean cosine of successive updates, Adam minus RMSprop",
                values=differences(persistence, "adam", "rmsprop"),
                low=0.0,
            ),
            Criterion(
                text="like RMSprop, it makes the coordinates' paths more equal than momentum",
                measure="log10 of long over short paths (90% over 10% quantile of the weights), Adam minus momentum",
                values=differences(decades, "adam", "momentum"),
                high=0.0,
            ),
            Criterion(
                text=f"it reaches a training loss of {TARGET:g} in fewer steps than momentum",
                measure="steps, Adam / momentum",
                values=paired(needed, "adam", "momentum"),
                high=1.0,
                kind="ratio",
            ),
            Criterion(
                text="in fewer steps than RMSprop",
                measure="steps, Adam / RMSprop",
                values=paired(needed, "adam", "rmsprop"),
                high=1.0,
                kind="ratio",
            ),
        ),
        experiment=described(found, steps, f"the rate that reaches the loss soonest{told_missed(needed, steps)}"),
        figure=drawn(found),
    )


CLAIM = Claim(
    code="C15",
    title="Adam joins both",
    sentence="Adam joins both: the direction of momentum and the scale of RMSprop.",
    source="Kingma & Ba 2015 (1412.6980): Adam combines AdaGrad's strength with sparse gradients and RMSprop's with changing "
    "ones, and in their figures "
    "it is level with or ahead of both. Tuned as freely, others find it no better than momentum on images (Wilson et al. 2017, "
    "1705.08292).",
    measure=measure,
)
