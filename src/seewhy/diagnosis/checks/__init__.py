"""The checks of a watched loop, a file a family: the loop itself, its inputs, its signals, its learning."""

from seewhy.diagnosis.checks import inputs, learning, loop, signals
from seewhy.diagnosis.checks.base import Check, Judge, Verdict, outcomes, ranked

CHECKS: tuple[Check, ...] = (*loop.CHECKS, *inputs.CHECKS, *signals.CHECKS, *learning.CHECKS)

__all__ = ["CHECKS", "Check", "Judge", "Verdict", "outcomes", "ranked"]
