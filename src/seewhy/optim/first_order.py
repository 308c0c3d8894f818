"""First-order optimisers by name: torch.optim's own classes with this project's defaults, and Muon.

Letters: w parameters, g gradient, eta learning rate, rho momentum, lambda weight decay. Weight decay acts on matrices and filters
only: biases, the scales and shifts of normalisation and PReLU's slopes (all parameters with fewer than two dimensions) have none.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn, optim

from seewhy.core.errors import InputError, bad_value
from seewhy.core.registry import Registry, Technique
from seewhy.optim.muon import Muon, muon_groups

Named = tuple[str, nn.Parameter]
Groups = list[dict[str, Any]]
Betas = tuple[float, float]


Make = Callable[..., optim.Optimizer]
"""`f(named_parameters, lr, weight_decay, **options)`."""


@dataclass(frozen=True)
class Optimizer:
    """The factory of an optimiser.

    Attributes:
        make: from named parameters (a list), learning rate, weight decay and options to the optimiser; options that are left out have the
            usual values of the method.
        closure: whether a step evaluates the loss itself, through a closure.
    """

    make: Make
    closure: bool = False

    def __call__(
        self, named_parameters: Iterable[Named], *, lr: float, weight_decay: float = 0.0, **options: Any
    ) -> optim.Optimizer:
        """Make the optimiser."""
        return self.make(list(named_parameters), lr, weight_decay, **options)


OPTIMISERS: Registry[Optimizer] = Registry("optimisers", "optimizer")


def build(
    name: str,
    named_parameters: Iterable[Named],
    *,
    lr: float | None = None,
    weight_decay: float = 0.0,
    **options: Any,
) -> optim.Optimizer:
    """Return the optimiser called `name` over the parameters that require a gradient.

    Args:
        name: one of `OPTIMISERS`.
        named_parameters: such as `model.named_parameters()`.
        lr: learning rate. Methods that search along a line may go without: None is 1 for them.
        weight_decay: lambda, for parameters with at least two dimensions.
        options: the hyper-parameters of the named one; those that are left out have their usual values.

            muon                 momentum = 0.6, steps = 3
            momentum, nesterov   momentum = 0.9
            adagrad              eps = 1e-10
            rmsprop              alpha = 0.9, momentum = 0, eps = 1e-8
            adam, adamw          betas = (0.9, 0.999), eps = 1e-8
            newton               max_cg = 30
            damped_newton        max_cg = 30, line_search = "backtracking", c1 = 1e-4
            hessian_free         max_cg = 30, levenberg = 1, c1 = 1e-4
            dfp                  line_search = "strong_wolfe", c1 = 1e-4, c2 = 0.1
            bfgs                 line_search = "strong_wolfe", c1 = 1e-4, c2 = 0.9
            lbfgs                history = 10, line_search = "strong_wolfe", c1 = 1e-4, c2 = 0.9

    Raises:
        InputError: the name is not known, the optimiser lacks an option, a number is out of range or missing, or nothing can be trained.
    """
    factory = OPTIMISERS[name].factory
    OPTIMISERS.validate_options(name, options)
    if lr is None:
        if not factory.closure:
            raise InputError(f"lr: {name} needs a learning rate, got None; give one")
        lr = 1.0
    if not 0 < lr < math.inf:
        raise bad_value("lr", lr, "more than 0 and finite")
    if not 0 <= weight_decay < math.inf:
        raise bad_value("weight_decay", weight_decay, "at least 0 and finite")
    trainable = [(key, value) for key, value in named_parameters if value.requires_grad]
    if not trainable:
        raise InputError("named_parameters: must hold at least one parameter that requires a gradient, got none")
    return factory(trainable, lr=lr, weight_decay=weight_decay, **options)


def decay_groups(named_parameters: Iterable[Named], weight_decay: float) -> Groups:
    """Split parameters into those with weight decay (two dimensions and more) and those without."""
    pairs = list(named_parameters)
    decayed = [pair for pair in pairs if pair[1].dim() >= 2]
    others = [pair for pair in pairs if pair[1].dim() < 2]
    groups = [
        {"params": decayed, "weight_decay": weight_decay},
        {"params": others, "weight_decay": 0.0},
    ]
    return [group for group in groups if group["params"]]


def _validate_share(name: str, value: float) -> None:
    if not 0 <= value < 1:
        raise bad_value(name, value, "at least 0 and less than 1")


def _validate_eps(eps: float) -> None:
    if not 0 < eps < math.inf:
        raise bad_value("eps", eps, "more than 0 and finite")


def _muon(
    named: list[Named], lr: float, weight_decay: float, *, momentum: float = 0.6, steps: int = 3
) -> optim.Optimizer:
    _validate_share("momentum", momentum)
    return Muon(muon_groups(named, lr=lr, weight_decay=weight_decay), lr=lr, momentum=momentum, steps=steps)


def _sgd(named: list[Named], lr: float, weight_decay: float) -> optim.Optimizer:
    return optim.SGD(decay_groups(named, weight_decay), lr=lr, fused=True)


def _momentum(named: list[Named], lr: float, weight_decay: float, *, momentum: float = 0.9) -> optim.Optimizer:
    _validate_share("momentum", momentum)
    return _with_late_gradients(optim.SGD(decay_groups(named, weight_decay), lr=lr, momentum=momentum, fused=True))


def _with_late_gradients(optimizer: optim.SGD) -> optim.SGD:
    """Let parameters have their first gradient later than others, as in a layer that is dropped at random; torch's fused SGD fails there.

    Their buffer begins at 0, which makes the first step what it is elsewhere: v <- rho 0 + g.
    """
    optimizer.register_step_pre_hook(_begin_buffers)
    return optimizer


def _begin_buffers(optimizer: optim.Optimizer, _args: object, _kwargs: object) -> None:
    parameters = sum(len(group["params"]) for group in optimizer.param_groups)
    if not 0 < len(optimizer.state) < parameters:
        return
    for group in optimizer.param_groups:
        for parameter in group["params"]:
            if parameter.grad is not None and "momentum_buffer" not in optimizer.state[parameter] and group["momentum"]:
                optimizer.state[parameter]["momentum_buffer"] = torch.zeros_like(parameter)


def _nesterov(named: list[Named], lr: float, weight_decay: float, *, momentum: float = 0.9) -> optim.Optimizer:
    _validate_share("momentum", momentum)
    nesterov = momentum > 0  # torch refuses it without momentum
    return _with_late_gradients(
        optim.SGD(decay_groups(named, weight_decay), lr=lr, momentum=momentum, nesterov=nesterov, fused=True)
    )


def _adagrad(named: list[Named], lr: float, weight_decay: float, *, eps: float = 1e-10) -> optim.Optimizer:
    _validate_eps(eps)
    return optim.Adagrad(decay_groups(named, weight_decay), lr=lr, eps=eps, foreach=True)


def _rmsprop(
    named: list[Named], lr: float, weight_decay: float, *, alpha: float = 0.9, momentum: float = 0.0, eps: float = 1e-8
) -> optim.Optimizer:
    _validate_share("alpha", alpha)
    _validate_share("momentum", momentum)
    _validate_eps(eps)
    groups = decay_groups(named, weight_decay)
    return optim.RMSprop(groups, lr=lr, alpha=alpha, momentum=momentum, eps=eps, foreach=True)


def _adam(
    named: list[Named], lr: float, weight_decay: float, *, betas: Betas = (0.9, 0.999), eps: float = 1e-8
) -> optim.Optimizer:
    _validate_betas(betas)
    _validate_eps(eps)
    return optim.Adam(decay_groups(named, weight_decay), lr=lr, betas=betas, eps=eps, fused=True)


def _adamw(
    named: list[Named], lr: float, weight_decay: float, *, betas: Betas = (0.9, 0.999), eps: float = 1e-8
) -> optim.Optimizer:
    _validate_betas(betas)
    _validate_eps(eps)
    return optim.AdamW(decay_groups(named, weight_decay), lr=lr, betas=betas, eps=eps, fused=True)


def _validate_betas(betas: Betas) -> None:
    if len(betas) != 2 or not all(0 <= beta < 1 for beta in betas):
        raise bad_value("betas", betas, "two numbers of at least 0 and less than 1")


OPTIMISERS.add(
    Technique(
        name="muon",
        factory=Optimizer(_muon),
        summary="momentum whose matrices are made orthogonal",
        formula="v <- rho v + g; u = g + rho v; W <- W sqrt(rows) / |W|; W <- W - eta O(u), O(u) nearly orthogonal; "
        "vectors and output layer: w <- w - eta' u / rms(u)",
        source="Jordan et al. 2024, kellerjordan.github.io/posts/muon; airbench94",
        good_for="short runs of convolutional and fully connected networks with normalisation",
        bad_for="networks without normalisation at large learning rates",
        qualified_name="seewhy.optim.Muon",
        hyperparameters=("momentum", "steps"),
    )
)
OPTIMISERS.add(
    Technique(
        name="sgd",
        factory=Optimizer(_sgd),
        summary="steps against the gradient",
        formula="w <- w - eta g",
        source="Robbins & Monro 1951",
        good_for="a baseline; large noisy problems",
        bad_for="ravines and saddles",
        claims=("C12", "C14"),
        qualified_name="torch.optim.SGD",
    )
)
OPTIMISERS.add(
    Technique(
        name="momentum",
        factory=Optimizer(_momentum),
        summary="a ball that rolls downhill",
        formula="v <- rho v + g; w <- w - eta v",
        source="Polyak 1964",
        good_for="image classification",
        bad_for="overshooting narrow valleys",
        claims=("C12", "C13", "C15"),
        qualified_name="torch.optim.SGD",
        hyperparameters=("momentum",),
    )
)
OPTIMISERS.add(
    Technique(
        name="nesterov",
        factory=Optimizer(_nesterov),
        summary="momentum that looks ahead",
        formula="v <- rho v + g(w - eta rho v); w <- w - eta v (after a change of variable)",
        source="Nesterov 1983; Sutskever et al. 2013",
        good_for="image classification; damps momentum's overshoot",
        bad_for="nothing in particular",
        claims=("C13",),
        qualified_name="torch.optim.SGD",
        hyperparameters=("momentum",),
    )
)
OPTIMISERS.add(
    Technique(
        name="adagrad",
        factory=Optimizer(_adagrad),
        summary="steps become smaller where gradients were large",
        formula="S <- S + g^2; w <- w - eta g / (sqrt S + eps)",
        source="Duchi et al. 2011",
        good_for="sparse features, convex problems",
        bad_for="long runs: the steps die away",
        claims=("C14",),
        qualified_name="torch.optim.Adagrad",
        hyperparameters=("eps",),
    )
)
OPTIMISERS.add(
    Technique(
        name="rmsprop",
        factory=Optimizer(_rmsprop),
        summary="steps scaled by a running mean of squared gradients",
        formula="S <- alpha S + (1 - alpha) g^2, alpha = 0.9 by default; w <- w - eta g / (sqrt S + eps)",
        source="Tieleman & Hinton 2012",
        good_for="problems whose scale changes; recurrent networks",
        bad_for="nothing in particular; Adam adds to it",
        claims=("C14", "C15"),
        qualified_name="torch.optim.RMSprop",
        hyperparameters=("alpha", "momentum", "eps"),
    )
)
OPTIMISERS.add(
    Technique(
        name="adam",
        factory=Optimizer(_adam),
        summary="momentum and RMSprop with bias correction; L2 weight decay",
        formula="m <- b1 m + (1 - b1) g; S <- b2 S + (1 - b2) g^2; w <- w - eta m^ / (sqrt S^ + eps)",
        source="Kingma & Ba 2015, 1412.6980",
        good_for="a first choice that asks for little tuning",
        bad_for="weight decay, which it scales away: see adamw",
        claims=("C15",),
        qualified_name="torch.optim.Adam",
        hyperparameters=("betas", "eps"),
    )
)
OPTIMISERS.add(
    Technique(
        name="adamw",
        factory=Optimizer(_adamw),
        summary="Adam with decoupled weight decay",
        formula="w <- (1 - eta lambda) w, then Adam's step",
        source="Loshchilov & Hutter 2019, 1711.05101",
        good_for="transformers; Adam with weight decay",
        bad_for="nothing in particular",
        claims=("C15",),
        qualified_name="torch.optim.AdamW",
        hyperparameters=("betas", "eps"),
    )
)
