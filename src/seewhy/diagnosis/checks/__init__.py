"""The checks of a watched loop, a file a family.

The order is that of causes: within one depth, what stands earlier explains what stands later, and is said first.
"""

from seewhy.diagnosis.checks import (
    batches,
    classes,
    design,
    generative,
    inputs,
    learning,
    loop,
    losses,
    rows,
    signals,
    steps,
)
from seewhy.diagnosis.checks.base import Check, Judge, Verdict, outcomes, ranked
from seewhy.diagnosis.history import History

CHECKS: tuple[Check[History], ...] = (
    *loop.CHECKS,
    *rows.CHECKS,
    *losses.CHECKS,
    *batches.CHECKS,
    *inputs.CHECKS,
    *classes.CHECKS,
    *design.CHECKS,
    *steps.CHECKS,
    *signals.CHECKS,
    *learning.CHECKS,
    *generative.CHECKS,
)

__all__ = ["CHECKS", "Check", "Judge", "Verdict", "outcomes", "ranked"]
