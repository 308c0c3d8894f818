"""One section an optimiser: its own fields, and what a run chooses where they are left open.

A section is the one home of an optimiser's rate, decay and schedule in runs, of whether its steps evaluate the loss themselves through a
closure, and of what adversarial training changes. Letters as in `seewhy.optim`.
"""

from __future__ import annotations

import math
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field

from seewhy.spec.section import Choice, chosen, pair

ScheduleName = Literal["triangle", "one_cycle", "cosine", "linear", "constant"]

Share = Annotated[float, Field(ge=0, lt=1)]

ARMIJO = "Sufficient decrease (Armijo) that a step must show."

WOLFE = "Share of the slope that may be left (strong Wolfe); more than c1."

LARGE_BATCH = 2000
"""Images of a step of an optimiser that learns curvature, which the noise of small batches drowns."""


class Optimizer(Choice):
    """How the weights move; what all optimisers share."""

    schedule: ScheduleName = chosen(description="Learning rate over the run.")
    warmup: float | None = Field(
        None,
        ge=0,
        lt=1,
        description="Share of the steps in which the learning rate rises (default: the schedule's own).",
    )

    closure: ClassVar[bool] = False
    """Whether a step evaluates the loss itself, through a closure."""

    overlap: ClassVar[float] = 0.0
    """Share of a batch that the next one sees again: what quasi-Newton methods compare gradients on."""

    usual: ClassVar[dict[str, Any]] = {}
    """Values of the fields that are left open."""

    adversarial: ClassVar[dict[str, Any]] = {}
    """What adversarial training, whose gradients turn, changes of them."""

    @classmethod
    def usual_for(cls, batch_size: int) -> dict[str, Any]:
        """Return the values of the fields that are left open, for batches of so many images."""
        del batch_size
        return dict(cls.usual)

    def settings(self) -> dict[str, Any]:
        """Return the optimiser's own options, as keyword arguments of `seewhy.optim.build`."""
        return {name: value for name, value in self.options().items() if name not in ("schedule", "warmup")}


def _rate() -> Any:
    return chosen(gt=0, description="Peak learning rate.")


def _decay() -> Any:
    return chosen(ge=0, description="Weight decay of matrices and filters; biases and norms have none.")


def _eps(default: float) -> Any:
    return Field(default, gt=0, description="Added to the denominator.")


class Muon(Optimizer):
    """Momentum whose matrices are made orthogonal."""

    name: Literal["muon"] = "muon"
    lr: float = _rate()
    weight_decay: float = _decay()
    momentum: float = Field(0.6, ge=0, lt=1, description="Momentum.")
    steps: int = Field(3, ge=1, le=20, description="Newton-Schulz iterations.")

    usual: ClassVar[dict[str, Any]] = {"weight_decay": 0.0, "schedule": "linear"}
    rate: ClassVar[float] = 0.17

    @classmethod
    def usual_for(cls, batch_size: int) -> dict[str, Any]:
        """The rate is that of batches of 500, and grows with the root of the batch."""
        return {**cls.usual, "lr": round(cls.rate * math.sqrt(min(batch_size, 2000) / 500), 4)}


class SGD(Optimizer):
    """Steps against the gradient."""

    name: Literal["sgd"] = "sgd"
    lr: float = _rate()
    weight_decay: float = _decay()

    usual: ClassVar[dict[str, Any]] = {"lr": 0.1, "weight_decay": 5e-4, "schedule": "one_cycle"}


class _WithMomentum(Optimizer):
    """What momentum and Nesterov's momentum share."""

    lr: float = _rate()
    weight_decay: float = _decay()
    momentum: float = Field(0.9, ge=0, lt=1, description="Momentum.")

    usual: ClassVar[dict[str, Any]] = {"lr": 0.05, "weight_decay": 5e-4, "schedule": "one_cycle"}


class Momentum(_WithMomentum):
    """SGD with momentum."""

    name: Literal["momentum"] = "momentum"


class Nesterov(_WithMomentum):
    """SGD with Nesterov's momentum."""

    name: Literal["nesterov"] = "nesterov"


class Adagrad(Optimizer):
    """Steps shrink where gradients were large."""

    name: Literal["adagrad"] = "adagrad"
    lr: float = _rate()
    weight_decay: float = _decay()
    eps: float = _eps(1e-10)

    usual: ClassVar[dict[str, Any]] = {"lr": 0.01, "weight_decay": 0.0, "schedule": "one_cycle"}


class RMSprop(Optimizer):
    """Steps scaled by a running mean of squared gradients."""

    name: Literal["rmsprop"] = "rmsprop"
    lr: float = _rate()
    weight_decay: float = _decay()
    alpha: float = Field(0.9, ge=0, lt=1, description="Decay of the running mean of squared gradients.")
    momentum: float = Field(0.0, ge=0, lt=1, description="Momentum.")
    eps: float = _eps(1e-8)

    usual: ClassVar[dict[str, Any]] = {"lr": 1e-3, "weight_decay": 0.0, "schedule": "one_cycle"}


class _AdamLike(Optimizer):
    """What Adam and AdamW share."""

    lr: float = _rate()
    weight_decay: float = _decay()
    betas: tuple[Share, Share] = pair((0.9, 0.999), "Decays of the running means of gradients and squared gradients.")
    eps: float = _eps(1e-8)

    adversarial: ClassVar[dict[str, Any]] = {"betas": (0.5, 0.999)}  # Radford et al. 2016, 1511.06434


class Adam(_AdamLike):
    """Adam, with L2 weight decay."""

    name: Literal["adam"] = "adam"

    usual: ClassVar[dict[str, Any]] = {"lr": 2e-3, "weight_decay": 0.0, "schedule": "one_cycle"}


class AdamW(_AdamLike):
    """Adam with decoupled weight decay."""

    name: Literal["adamw"] = "adamw"

    usual: ClassVar[dict[str, Any]] = {"lr": 2e-3, "weight_decay": 0.05, "schedule": "one_cycle"}


class _Searching(Optimizer):
    """What Newton's and quasi-Newton methods share: a closure, and no decay beside the function that is searched."""

    lr: float = Field(1.0, gt=0, description="Length of the first step that a search tries.")

    closure: ClassVar[bool] = True
    usual: ClassVar[dict[str, Any]] = {"schedule": "constant"}


class Newton(_Searching):
    """Newton's method, undamped."""

    name: Literal["newton"] = "newton"
    max_cg: int = Field(30, ge=1, description="Products with the curvature in a step, at most.")


class DampedNewton(_Searching):
    """Newton's method with a line search."""

    name: Literal["damped_newton"] = "damped_newton"
    max_cg: int = Field(30, ge=1, description="Products with the curvature in a step, at most.")
    line_search: Literal["backtracking", "exact"] = Field("backtracking", description="Line search.")
    c1: float = Field(1e-4, gt=0, lt=1, description=ARMIJO)


class HessianFree(_Searching):
    """Hessian-free: Gauss-Newton curvature, damped."""

    name: Literal["hessian_free"] = "hessian_free"
    max_cg: int = Field(30, ge=1, description="Products with the curvature in a step, at most.")
    levenberg: float = Field(1.0, gt=0, description="Damping of the first step.")
    c1: float = Field(1e-4, gt=0, lt=1, description=ARMIJO)


class _QuasiNewton(_Searching):
    """What the quasi-Newton methods share."""

    line_search: Literal["strong_wolfe", "backtracking", "exact", "none"] = Field(
        "strong_wolfe", description="Line search; with none the step is as long as the rate says."
    )
    c1: float = Field(1e-4, gt=0, lt=1, description=ARMIJO)
    c2: float = Field(0.9, gt=0, lt=1, description=WOLFE)

    overlap: ClassVar[float] = 0.25


class DFP(_QuasiNewton):
    """Davidon, Fletcher and Powell's method."""

    name: Literal["dfp"] = "dfp"
    c2: float = Field(0.1, gt=0, lt=1, description=WOLFE)


class BFGS(_QuasiNewton):
    """Broyden, Fletcher, Goldfarb and Shanno's method."""

    name: Literal["bfgs"] = "bfgs"


class LBFGS(_QuasiNewton):
    """Limited-memory BFGS."""

    name: Literal["lbfgs"] = "lbfgs"
    history: int = Field(10, ge=1, description="Pairs of steps and gradient differences that are kept.")


OPTIMIZERS: tuple[type[Optimizer], ...] = (
    Muon,
    SGD,
    Momentum,
    Nesterov,
    Adagrad,
    RMSprop,
    Adam,
    AdamW,
    Newton,
    DampedNewton,
    HessianFree,
    DFP,
    BFGS,
    LBFGS,
)
