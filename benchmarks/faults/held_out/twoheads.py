"""One backbone and two heads: which thing is in front, and where; the losses are added, the rates differ by group."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from held_out.base import Hand, Watcher, balanced, explained
from held_out.data import scenes


class TwoHeads(nn.Module):
    """Convolutions with group norm; a class and a place."""

    def __init__(
        self,
        act: Any = F.gelu,
        bounded: bool = False,
        unused: bool = False,
        groups: int = 4,
        drop: float = 0.0,
    ) -> None:
        super().__init__()
        self.a, self.b, self.c = nn.Conv2d(3, 16, 3, 2, 1), nn.Conv2d(16, 32, 3, 2, 1), nn.Conv2d(32, 32, 3, 1, 1)
        self.na = nn.GroupNorm(groups, 16) if groups else nn.Identity()
        self.nb = nn.GroupNorm(groups, 32) if groups else nn.Identity()
        self.neck = nn.Linear(512, 64)
        self.what, self.where = nn.Linear(64, 3), nn.Linear(64, 2)
        self.confidence = nn.Linear(64, 1) if unused else None
        self.act, self.bounded, self.drop = act, bounded, nn.Dropout(drop)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:  # noqa: D102
        f = self.act
        x = f(self.nb(self.b(f(self.na(self.a(x))))))
        x = self.drop(f(self.neck(f(self.c(x)).flatten(1))))
        place = self.where(x)
        return self.what(x), torch.tanh(place) if self.bounded else place


def train(
    watch: Watcher,
    seed: int,
    *,
    net: dict[str, Any] | None = None,
    lr: float = 2e-3,
    slow: float = 0.5,
    share: float = 2.0,
    epochs: int = 16,
    batch: int = 50,
    backbone: bool = True,
    feed: Any = lambda x: x,
    targets: Any = lambda kind, centre: (kind, centre),
    clears: bool = True,
    clip: float = 0.0,
    decay: float = 0.0,
    initial: Any = None,
    retains: bool = False,
    amsgrad: bool = False,
    steps: int = 10_000,
) -> tuple[Any, float]:
    """Train with the arguments' slips or oddities."""
    found = scenes(seed, 1100, 0.0)
    x = feed(found.x)
    kind, centre = targets(found.kind, found.centre)
    model = TwoHeads(**(net or {}))
    if initial is not None:
        model.apply(initial)
    heads = [*model.what.parameters(), *model.where.parameters(), *model.neck.parameters()]
    own = {id(p) for p in heads}
    lower = [p for p in model.parameters() if id(p) not in own]
    made = [{"params": heads}] + ([{"params": lower, "lr": slow * lr}] if backbone else [])
    optimizer = torch.optim.AdamW(made, lr=lr, weight_decay=decay, amsgrad=amsgrad)
    watching, count = watch(model, optimizer), 0
    for _ in range(epochs):
        model.train()
        for rows in torch.randperm(800).split(batch):
            if count == steps:
                break
            count += 1
            z, place = model(x[rows])
            named, put = F.cross_entropy(z, kind[rows]), F.smooth_l1_loss(place, centre[rows])
            if clears:
                optimizer.zero_grad()
            if retains:
                named.backward(retain_graph=True)
                (share * put).backward()
            else:
                (named + share * put).backward()
            if clip:
                nn.utils.clip_grad_norm_(model.parameters(), clip)
            optimizer.step()
        model.eval()
        with torch.no_grad():
            watching.observe(val_class=F.cross_entropy(model(x[800:])[0], found.kind[800:]))
    watching.close()
    model.eval()
    with torch.no_grad():
        z, place = model(x[800:])
    place = place if place.shape == found.centre[800:].shape else place[:, :1].expand(-1, 2)
    return watching, (balanced(z.argmax(1), found.kind[800:]) + max(-1.0, explained(place, found.centre[800:]))) / 2


def zeros(part: nn.Module) -> None:
    if isinstance(part, (nn.Conv2d, nn.Linear)):
        nn.init.zeros_(part.weight)
        nn.init.zeros_(part.bias)


def deadly(part: nn.Module) -> None:
    if isinstance(part, nn.Conv2d):
        nn.init.constant_(part.bias, -40.0)


def large(part: nn.Module) -> None:
    if isinstance(part, (nn.Conv2d, nn.Linear)):
        nn.init.normal_(part.weight, std=1.5)


HAND = Hand(
    "twoheads",
    train,
    {
        "optimiser of the heads only": ("parameters_not_in_optimizer parameters_frozen", {"backbone": False}),
        "zero_grad missing": ("zero_grad_missing", {"clears": False}),
        "labels of another order": (
            "labels_unrelated_to_inputs no_learning",
            {"targets": lambda kind, centre: (kind.roll(1), centre.roll(1, 0))},
        ),
        "relu killed by biases": ("dead_units", {"net": {"act": F.relu, "groups": 0}, "initial": deadly}),
        "weights all zero": ("initialisation_symmetric outputs_ignore_inputs", {"initial": zeros}),
        "weights too large": (
            "initial_loss_too_high initialisation_too_large",
            {"initial": large, "net": {"groups": 0}},
        ),
        "no non-linearity": ("no_nonlinearity", {"net": {"act": lambda x: x, "groups": 0}}),
        "bytes as inputs": ("inputs_unscaled", {"feed": lambda x: 255 * x, "net": {"groups": 0}}),
        "gradients clipped to nothing": ("gradients_clipped_away learning_rate_too_low", {"clip": 1e-11}),
        "weight decay too large": ("weight_decay_too_large", {"decay": 100.0}),
        "trained too briefly": ("underfitting", {"steps": 20}),
    },
    {
        "bounded places": {"net": {"bounded": True}},
        "a spare head": {"net": {"unused": True}},
        "two backward passes": {"retains": True},
        "AMSGrad": {"amsgrad": True},
        "places weigh more": {"share": 10.0},
        "ReLU, no norm": {"net": {"act": F.relu, "groups": 0}},
        "dropout": {"net": {"drop": 0.3}},
        "one group, one rate": {"slow": 1.0},
        "clipped": {"clip": 1.0},
        "decay 0.1": {"decay": 0.1},
        "SiLU": {"net": {"act": F.silu}},
        "batches of 25": {"batch": 25, "epochs": 10},
        "two groups": {"net": {"groups": 2}},
        "longer": {"epochs": 24},
    },
)
