"""Statistics of tensors, of a sample where they are large: at most `EXAMPLES` examples, `ENTRIES` values."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from seewhy.diagnosis.records import InputRecord

EXAMPLES = 128
ENTRIES = 1 << 15

SELU_SCALE, SELU_ALPHA = 1.0507009873554805, 1.6732632423543772
"""Klambauer et al. 2017, 1706.02515."""

FEW, COLUMNS = 32, 512
"""Examples and columns that are compared with one another."""


def dense(x: Tensor) -> Tensor:
    """Return a tensor's values flat, in the order of its memory where it has no holes, so that nothing is copied."""
    x = x.detach()
    if x.is_contiguous():
        return x.view(-1)
    if x.dim() == 4 and x.is_contiguous(memory_format=torch.channels_last):
        return x.permute(0, 2, 3, 1).view(-1)
    return x.reshape(-1)


def sampled(x: Tensor) -> Tensor:
    """Return at most `ENTRIES` values of a tensor, spread over it, flat."""
    flat = dense(x)
    return flat[:: max(1, flat.numel() // ENTRIES)]


def mean_and_std(x: Tensor, axes: tuple[int, ...]) -> tuple[Tensor, Tensor]:
    """Return mean and standard deviation along axes.

    In two passes, from the first value on, of which equal values deviate by exactly 0: several times as fast as `torch.std_mean`.
    """
    first = x[tuple(slice(1) if axis in axes else slice(None) for axis in range(x.dim()))]
    moved = x - first
    mean = moved.mean(axes, keepdim=True)
    return (mean + first).squeeze(axes), (moved - mean).square_().mean(axes).sqrt_()


@torch.no_grad()
def moments(x: Tensor) -> tuple[float, float]:
    """Return mean and standard deviation of a sample of a tensor's values."""
    mean, std = torch.stack(mean_and_std(sampled(x).float(), (0,))).tolist()
    return mean, std


@torch.no_grad()
def rows_of(x: Tensor, rows: int = FEW, columns: int = COLUMNS) -> Tensor:
    """Return some rows of a batch, and some columns of each, (rows, columns) in float32."""
    flat = x.detach()[:rows].flatten(1)
    return flat[:, :: max(1, flat.shape[1] // columns)].float()


@torch.no_grad()
def rank_and_similarity(x: Tensor) -> tuple[float | None, float | None]:
    """Return the effective rank of a batch's rows as a share of the largest possible, and the mean cosine of two rows.

    The effective rank is exp(-sum p ln p), where p are the singular values' shares of their sum (Roy & Vetterli 2007).
    """
    rows = rows_of(x)
    if len(rows) < 3 or rows.shape[1] < 2:
        return None, None
    gram = (rows @ rows.T).double().cpu()
    squares = gram.diagonal()
    if not math.isfinite(float(squares.sum())):  # no product is larger
        return None, None
    sizes = [math.sqrt(max(0.0, value)) for value in torch.linalg.eigvalsh(gram).tolist()]
    total = sum(sizes)
    if total == 0:
        return None, None
    shares = [size / total for size in sizes if size > 1e-6 * sizes[-1]]
    rank = math.exp(-sum(share * math.log(share) for share in shares)) / min(rows.shape)
    inverse = squares.clamp_min(1e-30).rsqrt()
    n, itself = len(rows), squares.clamp(max=1e-30).sum() / 1e-30
    return rank, float((inverse @ gram @ inverse - itself) / (n * (n - 1)))


@torch.no_grad()
def spread_of(x: Tensor) -> float | None:
    """Return the deviation of a batch's rows, the root mean square over their columns; None where there are fewer than two."""
    if x.dim() < 2 or len(x) < 2:
        return None
    return float(mean_and_std(rows_of(x), (0,))[1].square_().mean().sqrt_())


@torch.no_grad()
def diversity(x: Tensor) -> tuple[float, float]:
    """Return how much the rows of a batch differ.

    Returns:
        the deviation over the rows (root mean square over the columns), and the median distance of a row to the nearest other one as a
        share of the rows' root mean square distance.
    """
    rows = rows_of(x, 2 * FEW)
    if len(rows) < 3:
        return 0.0, 0.0
    spread = float(rows.var(0, correction=0).mean().sqrt())
    distances = torch.cdist(rows, rows)
    typical = float(distances.square().mean().sqrt())
    nearest = distances.fill_diagonal_(math.inf).amin(1).median()
    return spread, float(nearest) / typical if typical > 0 else 0.0


@torch.no_grad()
def likeness(x: Tensor, y: Tensor) -> float | None:
    """Return how far rows of y are from those of x in the same places, as a share of what two rows of x differ by, both mean squares.

    0 for the same rows, 1 for others, in between for the same rows with noise; None where they cannot be compared.
    """
    if x.shape != y.shape or len(x) < 4:
        return None
    typical = 2 * float(x.var(0).mean())
    return float((x - y).square().mean()) / typical if typical > 0 else None


@torch.no_grad()
def input_record(value: object, *, diverse: bool = False) -> InputRecord | None:
    """Return what an input looks like; None where it is no batch of floating-point values.

    Args:
        value: an argument of the network.
        diverse: whether to measure how much the rows differ.
    """
    if not isinstance(value, Tensor) or not value.is_floating_point() or value.dim() < 2 or not value.numel():
        return None
    x = value.detach()[:EXAMPLES].float()
    axes = (0, 2, 3) if x.dim() == 4 else tuple(range(x.dim()))
    mean, std = (part.reshape(-1) for part in mean_and_std(x, axes))
    low, high = torch.stack(x.aminmax()).tolist()
    spread, nearest = diversity(value) if diverse else (0.0, 0.0)
    return InputRecord(
        rows=len(value),
        mean=tuple(mean.tolist()),
        std=tuple(std.tolist()),
        low=low,
        high=high,
        rows_differ=len(x) > 1 and not torch.equal(x[1:], x[:-1]),
        duplicates=_duplicates(x),
        spread=spread,
        nearest=nearest,
        columns=x.numel() // len(x),
    )


def _duplicates(x: Tensor) -> float:
    """Return the share of rows that equal an earlier one, judged by a weighted sum of their values."""
    rows = rows_of(x, EXAMPLES)
    weights = torch.linspace(0.5, 1.5, rows.shape[1], device=rows.device)
    sums = (rows * weights).sum(1)
    return 1 - len(torch.unique(sums)) / len(sums)


def slopes(function: str, x: Tensor) -> Tensor:
    """Return the derivative of an activation function at x, in closed form: autograd would meet the user's hooks on what it saves."""
    if function == "relu":
        return (x > 0).to(x.dtype)
    if function == "elu":
        return x.clamp(max=0).exp()
    if function == "tanh":
        return 1 - x.tanh().square()
    if function == "gelu":
        return (x / math.sqrt(2)).erf() / 2 + 0.5 + x * (-x.square() / 2).exp() / math.sqrt(2 * math.pi)
    if function == "relu6":
        return ((x > 0) & (x < 6)).to(x.dtype)
    if function == "selu":
        return SELU_SCALE * torch.where(x > 0, 1.0, SELU_ALPHA * x.clamp(max=0).exp())
    if function == "hardswish":
        return torch.where(x <= -3, 0.0, torch.where(x >= 3, 1.0, x / 3 + 0.5)).to(x.dtype)
    s = x.sigmoid()
    return s * (1 - s) if function == "sigmoid" else s * (1 + x * (1 - s))
