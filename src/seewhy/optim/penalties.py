"""Penalties and constraints on weights: L1, L2 and max-norm, for anybody's training loop.

Letters: w a weight matrix or filter bank (out, ...), eta the learning rate of the step, f the loss.

    L2 in the loss      f + (lambda / 2) |w|^2, so that g <- g + lambda w                      (`add_l2_`, before the step)
    L1, proximal        w <- sign(w) max(|w| - eta lambda, 0)                                  (`soft_threshold_`, after the step)
    max-norm            w_i <- w_i min(1, c / |w_i|) for the weights w_i that come into unit i    (`max_norm_`, after the step)

The proximal step, not the subgradient lambda sign(w), gives exact zeros: a weight whose gradient is smaller than lambda ends at 0 and stays
there (Daubechies et al. 2004; Duchi & Singer 2009). Weight decay of `adamw` and others is decoupled: w <- (1 - eta lambda) w beside the step
(Loshchilov & Hutter 2019); under plain SGD it equals L2 in the loss, under adaptive methods it does not.

`Penalties` holds the three for named weights. Which weights of a network are meant is its caller's choice: `seewhy.nn.penalised_weights` leaves
biases, scales and shifts of normalisations and PReLU's slopes (fewer than two dimensions) alone unless asked for.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import torch
from torch import Tensor

from seewhy.core.errors import InputError, bad_value
from seewhy.core.registry import Registry, Technique


@torch.no_grad()
def add_l2_(weights: Sequence[Tensor], strength: float) -> None:
    """Add lambda w to the gradients, in place: L2 in the loss, (lambda / 2) |w|^2. Weights without a gradient are left out.

    Args:
        weights: of any shapes.
        strength: lambda.
    """
    present = [weight for weight in weights if weight.grad is not None]
    if present:
        torch._foreach_add_([weight.grad for weight in present], present, alpha=strength)  # type: ignore[misc]


@torch.no_grad()
def soft_threshold_(weights: Sequence[Tensor], thresholds: Sequence[float]) -> None:
    """Move weights towards 0 by a threshold each, in place, and set those within it to exactly 0.

    w <- w - clamp(w, -t, t), the proximal map of t |w| (Daubechies et al. 2004).

    Args:
        weights: of any shapes.
        thresholds: t of each, such as eta lambda.
    """
    if weights:
        inside = torch._foreach_clamp_max(list(weights), list(thresholds))
        torch._foreach_clamp_min_(inside, [-threshold for threshold in thresholds])
        torch._foreach_sub_(list(weights), inside)


@torch.no_grad()
def max_norm_(weights: Sequence[Tensor], limit: float) -> None:
    """Scale the weights that come into a unit to a Euclidean norm of at most c, in place (Srebro & Shraibman 2005; Srivastava et al. 2014).

    Args:
        weights: (out, ...) each: rows of a linear layer (a maxout unit has one per piece), filters of a convolution. Those of a transposed
            convolution (in, out, ...) are handed over as `weight.transpose(0, 1)`.
        limit: c.

    Raises:
        InputError: a weight has fewer than two dimensions, and so no units that it comes into.
    """
    for weight in weights:
        if weight.dim() < 2:
            raise InputError(
                f"max_norm_: weights must have two dimensions or more, got shape {tuple(weight.shape)}; leave biases and scales out"
            )
        rows = weight.flatten(1)
        norms = torch.linalg.vector_norm(rows, dim=1)
        factors = (limit / norms.clamp_min(1e-30)).clamp_max(1.0)
        weight.mul_(factors.view(-1, *[1] * (weight.dim() - 1)))


def sparsity(weights: Iterable[Tensor]) -> float:
    """Return the share of weights that are exactly 0; 0 where there are none."""
    counts = [(weight.numel(), int((weight == 0).sum())) for weight in weights]
    total = sum(numel for numel, _ in counts)
    return sum(zeros for _, zeros in counts) / total if total else 0.0


class Penalties:
    """L1, L2 and max-norm over named weights, without a state of their own.

        penalties = Penalties(penalised_weights(model).items(), optimizer, l1=1e-5)       (`seewhy.nn.penalised_weights`)
        loss.backward()
        penalties.before_step()
        optimizer.step()
        penalties.after_step()

    Eta is the optimiser's learning rate of the moment, group by group, so the pull of L1 follows its schedule. Under methods that scale their
    steps (Adam, Muon) the threshold is eta lambda all the same, unlike the proximal map in the method's own metric. Adam moves a weight by about
    eta a step, so lambda is there a share of a step, not of a gradient: zeros begin near 0.1. Muon gives a matrix a fixed norm, so that L1 there
    selects which weights are 0 and does not shrink the others.

    A moving average of weights that are 0 only now is not 0: `names` tells whose zeros it has to take over.

    Args:
        named_weights: the weights that are penalised.
        optimizer: the one that moves them; every weight that is penalised must be in it.
        l1: strength of L1.
        l2: strength of L2 in the loss.
        max_norm: c; None for no limit.
        limited: returns the views (out, ...) whose rows max-norm is about, called after each step, such as
            `partial(seewhy.nn.incoming_views, model)`, which knows of transposed convolutions; None for the named weights of two dimensions and
            more that require a gradient, as they are.

    Raises:
        InputError: a number is out of range, or a weight is not in the optimiser.
    """

    def __init__(
        self,
        named_weights: Iterable[tuple[str, Tensor]],
        optimizer: torch.optim.Optimizer,
        *,
        l1: float = 0.0,
        l2: float = 0.0,
        max_norm: float | None = None,
        limited: Callable[[], Sequence[Tensor]] | None = None,
    ) -> None:
        for name, value in (("l1", l1), ("l2", l2)):
            if not 0 <= value < float("inf"):
                raise bad_value(name, value, "at least 0 and finite")
        if max_norm is not None and not 0 < max_norm < float("inf"):
            raise bad_value("max_norm", max_norm, "more than 0 and finite")
        self.l1, self.l2, self.max_norm = l1, l2, max_norm
        named = dict(named_weights)
        self.names, self.weights = tuple(named), list(named.values())
        self._limited = limited or self._matrices
        owners = {id(weight): index for index, group in enumerate(optimizer.param_groups) for weight in group["params"]}
        missing = [name for name, weight in named.items() if id(weight) not in owners]
        if missing:
            raise InputError(
                f"optimizer: must hold every weight that is penalised, but lacks {missing[0]}; "
                "hand it over, or freeze it with requires_grad_(False)"
            )
        # Indices, not the groups themselves: load_state_dict puts new groups in.
        self._optimizer, self._groups = optimizer, [owners[id(weight)] for weight in self.weights]

    def _matrices(self) -> list[Tensor]:
        return [weight for weight in self.weights if weight.requires_grad and weight.dim() >= 2]

    def loss(self) -> Tensor:
        """Return (lambda / 2) |w|^2 with its graph, for optimisers that search along the loss."""
        squares = [weight.square().sum() for weight in self.weights]
        return 0.5 * self.l2 * torch.stack(squares).sum()

    def before_step(self) -> None:
        """Add L2's gradient."""
        if self.l2:
            add_l2_(self.weights, self.l2)

    def after_step(self) -> None:
        """Apply L1's proximal step, then the limit of norms; weights that are frozen now stay as they are."""
        if self.l1:
            rates = [group["lr"] for group in self._optimizer.param_groups]
            moving = [pair for pair in zip(self.weights, self._groups, strict=True) if pair[0].requires_grad]
            soft_threshold_([weight for weight, _ in moving], [rates[group] * self.l1 for _, group in moving])
        if self.max_norm is not None:
            max_norm_(self._limited(), self.max_norm)

    @property
    def sparsity(self) -> float:
        """The share of the penalised weights that are exactly 0."""
        return sparsity(self.weights)


PENALTIES: Registry[Callable[..., Any]] = Registry("penalties", "")
PENALTIES.add(
    Technique(
        name="l1",
        factory=Penalties,
        summary="pulls every weight towards 0 with one force; small ones end at exactly 0",
        formula="f + lambda |w|_1; after each step w <- sign(w) max(|w| - eta lambda, 0)",
        source="Tibshirani 1996; Daubechies et al. 2004",
        good_for="sparse weights, finding inputs that do not matter",
        bad_for="accuracy by itself",
        claims=("C19",),
        example="--reg.l1 1e-4",
        qualified_name="seewhy.optim.penalties.soft_threshold_",
        hyperparameters=("l1",),
    )
)
PENALTIES.add(
    Technique(
        name="l2",
        factory=Penalties,
        summary="pulls weights towards 0 in proportion to their size, through the gradient",
        formula="f + (lambda / 2) |w|^2; g <- g + lambda w",
        source="Hoerl & Kennard 1970; Krogh & Hertz 1991",
        good_for="SGD and momentum; optimisers that search along the loss",
        bad_for="Adam, which scales the pull away: see weight_decay",
        claims=("C19",),
        example="--reg.l2 1e-4",
        qualified_name="seewhy.optim.penalties.add_l2_",
        hyperparameters=("l2",),
    )
)
PENALTIES.add(
    Technique(
        name="weight_decay",
        factory=torch.optim.AdamW,
        summary="shrinks weights beside the step, decoupled from the gradient",
        formula="w <- (1 - eta lambda) w, then the step (adamw, muon); under SGD the same as l2",
        source="Loshchilov & Hutter 2019, 1711.05101",
        good_for="adaptive optimisers, long runs",
        bad_for="short runs, which do not overfit",
        claims=("C19",),
        example="--optim.weight_decay 5e-4",
        hyperparameters=("weight_decay",),
    )
)
PENALTIES.add(
    Technique(
        name="max_norm",
        factory=Penalties,
        summary="limits the norm of the weights that come into a unit",
        formula="after each step w_i <- w_i min(1, c / |w_i|)",
        source="Srebro & Shraibman 2005; Srivastava et al. 2014",
        good_for="dropout at high learning rates, maxout",
        bad_for="layers that a normalisation follows, whose scale means nothing",
        claims=("C21",),
        example="--reg.max_norm 2",
        qualified_name="seewhy.optim.penalties.max_norm_",
        hyperparameters=("max_norm",),
    )
)
