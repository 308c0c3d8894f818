"""First-order optimisers by name: torch.optim's own classes with this project's defaults, and Muon.

Letters: w parameters, g gradient, eta learning rate, rho momentum, lambda weight decay. Weight decay acts on matrices and filters
only: biases, the scales and shifts of normalisation and PReLU's slopes (all parameters with fewer than two dimensions) have none.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from torch import nn, optim

from seewhy.core.errors import InputError, bad_value
from seewhy.core.registry import Registry, Technique
from seewhy.optim.muon import Muon, muon_groups

Named = tuple[str, nn.Parameter]
Groups = list[dict[str, Any]]


@dataclass(frozen=True)
class Optimiser:
    """The factory of an optimiser.

    Attributes:
        make: from named parameters, learning rate, momentum and weight decay to the optimiser.
        lr: a learning rate to start from.
        momentum: a momentum to start from; None where the method has none.
        closure: whether a step evaluates the loss itself, through a closure.
        lives_in: the dotted name of the class that does the work.
    """

    make: Callable[[list[Named], float, float, float], optim.Optimizer]
    lr: float
    momentum: float | None = None
    closure: bool = False
    lives_in: str = ""

    def __call__(
        self, named_parameters: Iterable[Named], *, lr: float, momentum: float | None, weight_decay: float
    ) -> optim.Optimizer:
        """Make the optimiser; None for momentum takes the method's usual one."""
        chosen = self.momentum if momentum is None else momentum
        return self.make(list(named_parameters), lr, chosen or 0.0, weight_decay)


def _muon(named: list[Named], lr: float, momentum: float, weight_decay: float) -> optim.Optimizer:
    return Muon(muon_groups(named, lr=lr, weight_decay=weight_decay), lr=lr, momentum=momentum)


def _torch(kind: Callable[..., optim.Optimizer], *, has_momentum: bool = False, **options: Any) -> Any:
    """Return a `make` for one of torch's classes."""

    def make(named: list[Named], lr: float, momentum: float, weight_decay: float) -> optim.Optimizer:
        chosen = {"momentum": momentum, **options} if has_momentum else options
        if momentum == 0.0:
            chosen = {
                key: value for key, value in chosen.items() if key != "nesterov"
            }  # torch refuses it without momentum
        return kind(decay_groups(named, weight_decay), lr=lr, **chosen)

    return make


OPTIMISERS: Registry[Optimiser] = Registry("optimisers", "optim.name")


def build(
    name: str,
    named_parameters: Iterable[Named],
    *,
    lr: float | None = None,
    momentum: float | None = None,
    weight_decay: float = 0.0,
) -> optim.Optimizer:
    """Return the optimiser called `name` over the parameters that require a gradient.

    Args:
        name: one of `OPTIMISERS`.
        named_parameters: such as `model.named_parameters()`.
        lr: learning rate; None for the optimiser's usual one.
        momentum: in [0, 1); None for the usual one. Methods without momentum refuse it.
        weight_decay: lambda, for parameters with at least two dimensions.

    Raises:
        InputError: the name is not known, a number is out of range, or nothing can be trained.
    """
    factory = OPTIMISERS[name].factory
    if lr is not None and not 0 < lr < float("inf"):
        raise bad_value("optim.lr", lr, "more than 0 and finite")
    if momentum is not None and factory.momentum is None:
        raise InputError(f"optim.momentum: {name} has none, got {momentum}; leave it out")
    if momentum is not None and not 0 <= momentum < 1:
        raise bad_value("optim.momentum", momentum, "at least 0 and less than 1")
    if not 0 <= weight_decay < float("inf"):
        raise bad_value("optim.weight_decay", weight_decay, "at least 0 and finite")
    trainable = [(key, value) for key, value in named_parameters if value.requires_grad]
    if not trainable:
        raise InputError("named_parameters: must hold at least one parameter that requires a gradient, got none")
    return factory(trainable, lr=factory.lr if lr is None else lr, momentum=momentum, weight_decay=weight_decay)


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


OPTIMISERS.add(
    Technique(
        name="muon",
        factory=Optimiser(_muon, lr=0.24, momentum=0.6, lives_in="seewhy.optim.Muon"),
        summary="momentum whose matrices are made orthogonal",
        formula="v <- rho v + g; u = g + rho v; W <- W sqrt(rows) / |W|; W <- W - eta O(u), O(u) nearly orthogonal; "
        "vectors and output layer: w <- w - eta' u / rms(u)",
        source="Jordan et al. 2024, kellerjordan.github.io/posts/muon; airbench94",
        good_for="short runs of convolutional and fully connected networks with normalisation",
        bad_for="networks without normalisation at its usual learning rate",
    )
)
OPTIMISERS.add(
    Technique(
        name="sgd",
        factory=Optimiser(_torch(optim.SGD, fused=True), lr=0.1, lives_in="torch.optim.SGD"),
        summary="steps against the gradient",
        formula="w <- w - eta g",
        source="Robbins & Monro 1951",
        good_for="a baseline; large noisy problems",
        bad_for="ravines and saddles",
        claims=("C12",),
    )
)
OPTIMISERS.add(
    Technique(
        name="momentum",
        factory=Optimiser(
            _torch(optim.SGD, has_momentum=True, fused=True), lr=0.05, momentum=0.9, lives_in="torch.optim.SGD"
        ),
        summary="a ball that rolls downhill",
        formula="v <- rho v + g; w <- w - eta v",
        source="Polyak 1964",
        good_for="image recognition",
        bad_for="overshooting narrow valleys",
        claims=("C12", "C13"),
    )
)
OPTIMISERS.add(
    Technique(
        name="nesterov",
        factory=Optimiser(
            _torch(optim.SGD, has_momentum=True, nesterov=True, fused=True),
            lr=0.05,
            momentum=0.9,
            lives_in="torch.optim.SGD",
        ),
        summary="momentum that looks ahead",
        formula="v <- rho v + g(w - eta rho v); w <- w - eta v (after a change of variable)",
        source="Nesterov 1983; Sutskever et al. 2013",
        good_for="image recognition; damps momentum's overshoot",
        bad_for="nothing in particular",
        claims=("C13",),
    )
)
OPTIMISERS.add(
    Technique(
        name="adagrad",
        factory=Optimiser(_torch(optim.Adagrad, foreach=True), lr=0.01, lives_in="torch.optim.Adagrad"),
        summary="steps shrink where gradients were large",
        formula="S <- S + g^2; w <- w - eta g / (sqrt S + eps)",
        source="Duchi et al. 2011",
        good_for="sparse features, convex problems",
        bad_for="long runs: the steps die away",
        claims=("C14",),
    )
)
OPTIMISERS.add(
    Technique(
        name="rmsprop",
        factory=Optimiser(
            _torch(optim.RMSprop, has_momentum=True, alpha=0.9, foreach=True),
            lr=1e-3,
            momentum=0.0,
            lives_in="torch.optim.RMSprop",
        ),
        summary="steps scaled by a running mean of squared gradients",
        formula="S <- 0.9 S + 0.1 g^2; w <- w - eta g / (sqrt S + eps)",
        source="Tieleman & Hinton 2012",
        good_for="problems whose scale changes; recurrent networks",
        bad_for="nothing in particular; Adam adds to it",
        claims=("C14",),
    )
)
OPTIMISERS.add(
    Technique(
        name="adam",
        factory=Optimiser(_torch(optim.Adam, fused=True), lr=1e-3, lives_in="torch.optim.Adam"),
        summary="momentum and RMSprop with bias correction; L2 weight decay",
        formula="m <- b1 m + (1 - b1) g; S <- b2 S + (1 - b2) g^2; w <- w - eta m^ / (sqrt S^ + eps)",
        source="Kingma & Ba 2015, 1412.6980",
        good_for="a first choice that asks for little tuning",
        bad_for="weight decay, which it scales away: see adamw",
        claims=("C15",),
    )
)
OPTIMISERS.add(
    Technique(
        name="adamw",
        factory=Optimiser(_torch(optim.AdamW, fused=True), lr=1e-3, lives_in="torch.optim.AdamW"),
        summary="Adam with decoupled weight decay",
        formula="w <- (1 - eta lambda) w, then Adam's step",
        source="Loshchilov & Hutter 2019, 1711.05101",
        good_for="transformers; Adam with weight decay",
        bad_for="nothing in particular",
        claims=("C15",),
    )
)
