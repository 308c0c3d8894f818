"""A siamese convnet with a contrastive loss on pairs of digits: SGD, pairs drawn on the fly, judged by the nearest mean."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from held_out.base import Hand, Watcher, balanced, shuffled
from held_out.data import pixels


class Embed(nn.Module):
    """Convolutions and a linear map to eight values, on the sphere if wanted."""

    def __init__(
        self, act: type[nn.Module] = nn.PReLU, sphere: bool = False, width: int = 12, norm: bool = False
    ) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(1, width, 3, padding=1),
            act(),
            nn.MaxPool2d(2),
            nn.Conv2d(width, 2 * width, 3),
            nn.InstanceNorm2d(2 * width) if norm else nn.Identity(),
            act(),
            nn.Flatten(),
            nn.Linear(8 * width, 8),
        )
        self.sphere = sphere

    def forward(self, x: Tensor) -> Tensor:  # noqa: D102
        e = self.body(x)
        return nn.functional.normalize(e, dim=1) if self.sphere else e


def contrastive(a: Tensor, b: Tensor, same: Tensor, margin: float, safe: float = 1e-6) -> Tensor:
    """Hadsell, Chopra and LeCun, 2006."""
    d = ((a - b).pow(2).sum(1) + safe).sqrt()
    return (same * d**2 + (1 - same) * (margin - d).clamp(min=0) ** 2).mean()


def triplet(model: nn.Module, x: Tensor, y: Tensor, rows: Tensor, margin: float) -> Tensor:
    positive = torch.stack([(y == y[r]).float().multinomial(1)[0] for r in rows])
    negative = torch.stack([(y != y[r]).float().multinomial(1)[0] for r in rows])
    return nn.functional.triplet_margin_loss(model(x[rows]), model(x[positive]), model(x[negative]), margin)


def train(
    watch: Watcher,
    seed: int,
    *,
    net: dict[str, Any] | None = None,
    lr: float = 0.05,
    momentum: float = 0.9,
    margin: float = 2.0,
    steps: int = 350,
    pairs: int = 64,
    feed: Any = lambda x: x,
    labels: Any = None,
    safe: float = 1e-6,
    steps_taken: bool = True,
    weights: Any = None,
    triplets: bool = False,
    optimizer: Any = torch.optim.SGD,
    clip: float = 0.0,
) -> tuple[Any, float]:
    """Train with the arguments' slips or oddities."""
    x, y, x_val, y_val = pixels(seed)
    x, x_val = feed(x), feed(x_val)
    seen = y if labels is None else labels(y)
    model = Embed(**(net or {}))
    if weights is not None:
        with torch.no_grad():
            for p in model.body.parameters():
                weights(p)
    opt = optimizer(model.parameters(), lr=lr, **({"momentum": momentum} if optimizer is torch.optim.SGD else {}))
    with watch(model, opt) as why:
        for _ in range(steps):
            a = torch.randint(len(x), (pairs,))
            if triplets:
                loss = triplet(model, x, seen, a, margin)
            else:
                wanted = torch.rand(pairs) < 0.5
                b = torch.stack(
                    [((seen == seen[r]) == w).float().multinomial(1)[0] for r, w in zip(a, wanted, strict=True)]
                )
                first, second = model(x[a]), model(x[b])
                same = seen[a] == seen[b]
                loss = contrastive(first, second, same.float(), margin, safe)
            opt.zero_grad()
            loss.backward()
            if clip:
                nn.utils.clip_grad_norm_(model.parameters(), clip)
            if steps_taken:
                opt.step()
    model.eval()
    with torch.no_grad():
        e = model(x)
        means = torch.stack([e[y == c].mean(0) for c in range(10)])
        return why, balanced(torch.cdist(model(x_val), means).nan_to_num(1e9).argmin(1), y_val)


HAND = Hand(
    "siamese",
    train,
    {
        "step never called": ("step_missing", {"steps_taken": False}),
        "root of 0": ("not_finite", {"safe": 0.0, "feed": lambda x: x.round(), "weights": lambda p: p.zero_()}),
        "weights all zero": ("initialisation_symmetric outputs_ignore_inputs", {"weights": lambda p: p.zero_()}),
        "weights all the same": ("initialisation_symmetric", {"weights": lambda p: p.fill_(0.05)}),
        "bytes as inputs": ("inputs_unscaled learning_rate_too_high", {"feed": lambda x: 255 * x}),
        "inputs scaled twice": ("inputs_unscaled", {"feed": lambda x: x / 255}),
        "labels shuffled": ("labels_unrelated_to_inputs no_learning", {"labels": shuffled}),
        "gradients clipped to nothing": ("gradients_clipped_away learning_rate_too_low", {"clip": 1e-6}),
    },
    {
        "on the sphere": {"net": {"sphere": True}, "margin": 1.2},
        "ReLU": {"net": {"act": nn.ReLU}},
        "triplets": {"triplets": True, "margin": 1.0, "steps": 200},
        "Adam": {"optimizer": torch.optim.Adam, "lr": 3e-3},
        "instance norm": {"net": {"norm": True}},
        "clipped at 1": {"clip": 1.0},
        "margin of 1": {"margin": 1.0},
        "centred": {"feed": lambda x: x - 0.3},
        "wide": {"net": {"width": 16}},
        "ELU": {"net": {"act": nn.ELU}},
        "pairs of 32": {"pairs": 32},
    },
)
