"""An encoder-decoder that names each pixel, by cross-entropy over classes at axis 1; a poly schedule, bf16, evaluation amid."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from held_out.base import Hand, Watcher, balanced
from held_out.data import scenes


def stage(inputs: int, outputs: int, norm: bool, act: type[nn.Module]) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, 3, padding=1), nn.BatchNorm2d(outputs) if norm else nn.Identity(), act()
    )


class Segmenter(nn.Module):
    """Two stages down, one up, bilinear, with a skip; logits of four classes."""

    def __init__(
        self, width: int = 16, norm: bool = True, act: type[nn.Module] = nn.ReLU, skip: bool = True, end: Any = None
    ) -> None:
        super().__init__()
        self.one, self.two = stage(3, width, norm, act), stage(width, 2 * width, norm, act)
        self.three = stage(2 * width, 2 * width, norm, act)
        self.up = stage(3 * width if skip else 2 * width, width, norm, act)
        self.classify = nn.Conv2d(width, 4, 1)
        self.skip, self.end = skip, end

    def forward(self, x: Tensor) -> Tensor:  # noqa: D102
        high = self.one(x)
        low = self.three(self.two(F.max_pool2d(high, 2)))
        low = F.interpolate(low, scale_factor=2, mode="bilinear", align_corners=False)
        z = self.classify(self.up(torch.cat([high, low], 1) if self.skip else low))
        return z if self.end is None else self.end(z)


def train(
    watch: Watcher,
    seed: int,
    *,
    net: dict[str, Any] | None = None,
    optimizer: Any = torch.optim.Adam,
    lr: float = 6e-3,
    power: float = 0.9,
    steps: int = 200,
    batch: int = 24,
    autocast: bool = False,
    weights: tuple[float, ...] = (1.0, 2.0, 2.0, 2.0),
    moved: bool = False,
    feed: Any = lambda x: x,
    mode: str = "",
    clears: bool = True,
    initial: Any = None,
    loss_function: Any = None,
    crowd: float = 0.25,
) -> tuple[Any, float]:
    """Train with the arguments' slips or oddities."""
    found = scenes(seed, 700, crowd)
    x, maps = feed(found.x), found.map
    x, maps, x_val, maps_val = x[:500], maps[:500], x[500:], found.map[500:]
    if moved:  # lists of files, each sorted its own way
        maps = maps[torch.randperm(len(maps))]
    model = Segmenter(**(net or {}))
    if initial is not None:
        model.apply(initial)
    criterion = loss_function or nn.CrossEntropyLoss(weight=torch.tensor(weights))
    opt = optimizer(model.parameters(), lr=lr)
    poly = torch.optim.lr_scheduler.PolynomialLR(opt, steps + 1, power)
    with watch(model, opt) as why:
        for step in range(steps):
            model.train(mode != "eval")
            picked = torch.randint(len(x), (batch,))
            with torch.autocast("cpu", torch.bfloat16, autocast):
                loss = criterion(model(x[picked]), maps[picked])
            if clears:
                opt.zero_grad()
            loss.backward()
            opt.step()
            poly.step()
            if step % 45 == 44:
                if mode != "train":
                    model.eval()
                with torch.no_grad():
                    why.observe(val_loss=F.cross_entropy(model(x_val), maps_val))
    model.train(mode == "train")
    with torch.no_grad():
        predicted = torch.cat([model(part).argmax(1) for part in x_val.split(2)])
    return why, balanced(predicted.flatten(), maps_val.flatten())


def equal(part: nn.Module) -> None:
    if isinstance(part, nn.Conv2d):
        nn.init.constant_(part.weight, 0.02)


def dead(part: nn.Module) -> None:
    if isinstance(part, nn.Conv2d) and part.bias is not None and part.out_channels > 4:
        nn.init.constant_(part.bias, -25.0)


def dice(z: Tensor, y: Tensor) -> Tensor:
    p, hot = z.softmax(1), F.one_hot(y, 4).permute(0, 3, 1, 2).float()
    return 1 - (2 * (p * hot).sum((0, 2, 3)) / (p + hot).sum((0, 2, 3))).mean()


HAND = Hand(
    "segment",
    train,
    {
        "softmax over wrong axis": (
            "softmax_before_softmax_loss softmax_over_wrong_axis",
            {"net": {"end": lambda z: z.softmax(0)}},
        ),
        "activation on the logits": ("activation_before_loss", {"net": {"end": F.relu}}),
        "masks of other images": ("labels_unrelated_to_inputs no_learning", {"moved": True}),
        "training in eval mode": ("training_in_eval_mode", {"mode": "eval", "optimizer": torch.optim.SGD, "lr": 0.1}),
        "evaluation in train mode": ("evaluation_in_train_mode", {"mode": "train"}),
        "zero_grad missing": ("zero_grad_missing", {"clears": False, "optimizer": torch.optim.SGD, "lr": 0.3}),
        "rate too high": ("learning_rate_too_high loss_oscillates", {"lr": 2.0}),
        "weights all the same": ("initialisation_symmetric", {"initial": equal}),
        "relu killed by biases": ("dead_units", {"initial": dead, "net": {"norm": False}}),
        "no non-linearity": ("no_nonlinearity", {"net": {"act": nn.Identity, "norm": False}}),
        "too narrow": ("capacity_too_small underfitting", {"net": {"width": 1}}),
        "the image is blank": ("inputs_constant", {"feed": lambda x: x * 0}),
    },
    {
        "wide": {"net": {"width": 24}, "steps": 140},
        "no skip": {"net": {"skip": False}, "steps": 260},
        "dice": {"loss_function": dice},
        "bf16": {"autocast": True},
        "unweighted": {"weights": (1.0, 1.0, 1.0, 1.0)},
        "rate kept": {"power": 0.0, "lr": 3e-3},
        "SGD": {"optimizer": lambda p, lr: torch.optim.SGD(p, 0.3, 0.9, nesterov=True)},
        "leaky": {"net": {"act": nn.LeakyReLU}},
        "label smoothing": {"loss_function": nn.CrossEntropyLoss(label_smoothing=0.1)},
        "crowded": {"crowd": 1.0, "steps": 240},
        "GELU": {"net": {"act": nn.GELU}},
        "batches of 32": {"batch": 32, "steps": 160},
        "NAdam": {"optimizer": torch.optim.NAdam},
    },
)
