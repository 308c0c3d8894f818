"""The order in which a recurrence visits a raster: steps, each a line of cells that are computed at once from the step before.

Every cell has a coordinate l on a line without ends; step s holds the cells lo_s ... lo_s + n_s - 1. Tap k of cell l is the cell l + o_k of
step s - 1, zero if that one stands for no position. So a tap of a whole step is one window of the step before: no gathering.

    rows        a step is all positions with one coordinate of the first axis; taps are a kernel over the other axes
    diagonals   a step is all positions with one sum of coordinates, so that the raster is skewed; taps are the neighbours before, one for
                each axis. Only positions are stored, not the triangles that a skewed raster leaves empty

With three axes the cells of a step form a plane, which is laid out as a line with an empty cell after every row; empty cells are kept at zero.

Letters: D axes, P positions in raster order, S steps.
"""

from __future__ import annotations

import dataclasses
import functools
import itertools
import math
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from seewhy.models.autoregressive.raster import positions


class ColumnGather:
    """y[:, m] = x[:, source[m]], zero where source[m] is -1: (F, M_in, N) -> (F, M_out, N). No column of x is read twice.

    So its gradient is of the same kind, by the inverse, which is many times faster than adding up at an index.

    Args:
        source: int64 (M_out).
        columns: M_in.
        device: where it is wanted.
    """

    def __init__(self, source: Tensor, columns: int, device: torch.device) -> None:
        back = torch.full((columns + 1,), -1)
        back[source] = torch.arange(len(source))  # empty columns go to the last, which is dropped
        back[-1] = -1
        self.indices = [
            (index.clamp_min(0).to(device), torch.nonzero(index < 0).flatten().to(device))
            for index in (source, back[:-1])
        ]
        self.identity = len(source) == columns and bool((source == torch.arange(columns)).all())

    def __call__(self, x: Tensor) -> Tensor:
        """Return y."""
        if self.identity:
            return x
        y: Tensor = _ColumnGather.apply(x, *self.indices)
        return y


class _ColumnGather(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, forth: tuple[Tensor, Tensor], back: tuple[Tensor, Tensor]) -> Tensor:
        ctx.indices = forth, back
        y = x.index_select(1, forth[0])
        return y.index_fill_(1, forth[1], 0.0) if len(forth[1]) else y

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        forth, back = ctx.indices
        return _ColumnGather.apply(gradient, back, forth), None, None


@dataclasses.dataclass(frozen=True)
class Scan:
    """The steps of a raster, for each of R directions. Columns are the cells of all steps, one step after the other; there are Q.

    Attributes:
        offsets: o_k of each tap; tap 0 is the one whose cell state goes on.
        before, after: how many zero cells each step's line needs on either side, so that windows of the next step stay within it.
        sizes: n_s of each step.
        windows: for each step but the first, where the window of each tap begins in the padded line of the step before.
        filled: for each step, 1 for cells that stand for a position, 0 for empty ones, (n_s, 1); None if all do.
        reads: int64 (R, Q): the position that each column reads, P for an empty cell.
        writes: int64 (R, Q): the position at which what was computed is visible, P if there is none.
        enter: from positions to columns of direction 0.
        leave: from columns of direction 0 to positions.
        turn: for each other direction, from columns of direction 0 to its own.
        back: for each other direction, from its columns to those of direction 0 at which they are visible.
        taps: int64 (R, P, K): the position of each tap of each position, P if there is none.
        shifts: for each direction the axis along which it is shifted by one so that it sees no future; None for the first.
        orders: int64 (R, P): positions in an order in which each direction can compute them one by one.
    """

    offsets: tuple[int, ...]
    before: int
    after: int
    sizes: tuple[int, ...]
    windows: tuple[tuple[int, ...], ...]
    filled: tuple[Tensor | None, ...]
    reads: Tensor
    writes: Tensor
    enter: ColumnGather
    leave: ColumnGather
    turn: tuple[ColumnGather, ...]
    back: tuple[ColumnGather, ...]
    taps: Tensor
    shifts: tuple[int | None, ...]
    orders: Tensor


@functools.lru_cache(maxsize=16)
@torch.inference_mode(False)  # what is cached serves training too
def rows(sides: tuple[int, ...], device: torch.device) -> Scan:
    """Return the scan of the Row LSTM: steps along the first axis, kernels of 3 along the others."""
    plane = tuple(sides[1:])
    pitches = _pitches(plane)
    around = sorted(itertools.product((-1, 0, 1), repeat=len(plane)), key=lambda step: (any(step), step))
    offsets = tuple(_line(step, pitches) for step in around)
    cells = [(position[0], _line(position[1:], pitches)) for position in positions(sides)]
    return _scan(sides, cells, offsets, [(1,) * len(sides)], device)


@functools.lru_cache(maxsize=16)
@torch.inference_mode(False)  # what is cached serves training too
def diagonals(sides: tuple[int, ...], device: torch.device) -> Scan:
    """Return the scan of the Diagonal BiLSTM: steps along the sum of coordinates, 2^(D - 1) directions.

    Direction 0 sees all positions none of whose coordinates is greater. Each other one is mirrored along some of the axes after the first; with
    a the first that is mirrored, it is shifted by one along axis a - 1, so that all it sees comes before. Together they see all that does.
    """
    pitches = _pitches(sides[:-1])
    last = [0] * (len(sides) - 1)
    neighbours = [
        tuple(-1 if axis == other else 0 for other in range(len(last))) for axis in reversed(range(len(last)))
    ]
    offsets = (0, *(_line(step, pitches) for step in neighbours))
    cells = [(sum(position), _line(position[:-1], pitches)) for position in positions(sides)]
    signs = [(1, *rest) for rest in itertools.product((1, -1), repeat=len(sides) - 1)]
    return _scan(sides, cells, offsets, signs, device)


@functools.lru_cache(maxsize=32)
@torch.inference_mode(False)
def neighbour_columns(
    scan_of: Callable[[tuple[int, ...], torch.device], Scan],
    sides: tuple[int, ...],
    steps: tuple[tuple[int, ...], ...],
    device: torch.device,
) -> tuple[ColumnGather, ...]:
    """Return what gives, for columns of direction 0, the columns that lie each step from them, zero if that is outside."""
    reads = scan_of(sides, torch.device("cpu")).reads[0]
    total = math.prod(sides)
    column = torch.full((total + 1,), -1)
    column[reads] = torch.arange(len(reads))
    column[-1] = -1
    near = torch.cat([neighbour_positions(sides, steps, torch.device("cpu")), torch.full((1, len(steps)), total)])
    return tuple(ColumnGather(column[index], len(reads), device) for index in near[reads].unbind(1))


@functools.lru_cache(maxsize=32)
@torch.inference_mode(False)
def neighbour_positions(sides: tuple[int, ...], steps: tuple[tuple[int, ...], ...], device: torch.device) -> Tensor:
    """Return the position that lies each of J steps from each position, P if that is outside: int64 (P, J)."""
    coordinates = torch.cartesian_prod(*(torch.arange(side) for side in sides)).view(-1, 1, len(sides))
    moved = coordinates + torch.tensor(steps).view(1, -1, len(sides))
    limits = torch.tensor(sides)
    inside = ((moved >= 0) & (moved < limits)).all(2)
    pitches = torch.tensor([math.prod(sides[axis + 1 :]) for axis in range(len(sides))])
    return torch.where(inside, (moved * pitches).sum(2), len(coordinates)).to(device)


def _pitches(plane: Sequence[int]) -> tuple[int, ...]:
    """Return how far apart neighbours along each axis are on the line: an empty cell follows every row of a plane."""
    return tuple(math.prod(side + 1 for side in plane[axis + 1 :]) for axis in range(len(plane)))


def _line(position: Sequence[int], pitches: Sequence[int]) -> int:
    return sum(index * pitch for index, pitch in zip(position, pitches, strict=True))


def _scan(
    sides: Sequence[int],
    cells: list[tuple[int, int]],
    offsets: tuple[int, ...],
    signs: list[tuple[int, ...]],
    device: torch.device,
) -> Scan:
    """Lay out a scan.

    Args:
        sides: the raster's sides.
        cells: (step, coordinate on the line) of each position of a direction that is not mirrored.
        offsets: o_k.
        signs: for each direction 1 or -1 (mirrored) along each axis.
        device: where the tables are wanted.
    """
    steps = max(step for step, _ in cells) + 1
    lines: list[list[int]] = [[] for _ in range(steps)]
    for step, cell in cells:
        lines[step].append(cell)
    low = [min(line) for line in lines]
    size = [max(line) - min(line) + 1 for line in lines]
    pairs = list(itertools.pairwise(range(steps)))
    starts = [tuple(low[now] + offset - low[then] for offset in offsets) for then, now in pairs]
    before = max([0, *(-start for tap in starts for start in tap)])
    after = max(
        [0, *(start + size[now] - size[then] for tap, (then, now) in zip(starts, pairs, strict=True) for start in tap)]
    )
    number_of = {cell: number for number, cell in enumerate(cells)}
    grid = [[number_of.get((step, low[step] + cell), -1) for cell in range(size[step])] for step in range(steps)]
    taps = [[number_of.get((step - 1, cell + offset), -1) for offset in offsets] for step, cell in cells]
    mirrors = torch.stack([_mirror(sides, sign) for sign in signs])
    shifts = tuple(next((axis - 1 for axis, one in enumerate(sign) if one < 0), None) for sign in signs)
    exits = torch.stack([_outlets(sides, shift) for shift in shifts])
    line = torch.tensor([number for step in grid for number in step])
    reads = torch.where(line >= 0, mirrors[:, line], len(cells))
    writes = exits.gather(1, reads)
    filled = torch.split((line >= 0)[:, None], size)
    column = torch.full((len(cells) + 1,), -1)  # of each position, in direction 0
    column[reads[0]] = torch.arange(len(line))
    column[-1] = -1
    return Scan(
        offsets=offsets,
        before=before,
        after=after,
        sizes=tuple(size),
        windows=tuple(tuple(start + before for start in tap) for tap in starts),
        filled=tuple(None if bool(mask.all()) else mask.to(device) for mask in filled),
        reads=reads.to(device),
        writes=writes.to(device),
        enter=ColumnGather(torch.where(line >= 0, reads[0], -1), len(cells), device),
        leave=ColumnGather(column[:-1], len(line), device),
        turn=tuple(ColumnGather(column[read], len(line), device) for read in reads[1:]),
        back=tuple(_returned(column[write], device) for write in writes[1:]),
        taps=_mirrored(torch.tensor(taps), mirrors).to(device),
        shifts=shifts,
        orders=mirrors.to(device),
    )


def _returned(target: Tensor, device: torch.device) -> ColumnGather:
    """Return what sends each column to its target."""
    source = torch.full((len(target) + 1,), -1)
    source[target] = torch.arange(len(target))
    return ColumnGather(source[:-1], len(target), device)


def _mirror(sides: Sequence[int], sign: Sequence[int]) -> Tensor:
    """Return the position that each position is mapped to by mirroring, int64 (P)."""
    flipped = [axis for axis, one in enumerate(sign) if one < 0]
    return torch.arange(math.prod(sides)).view(*sides).flip(flipped).flatten()


def _outlets(sides: Sequence[int], shift: int | None) -> Tensor:
    """Return the position one further along an axis of each position, P where the raster ends, int64 (P + 1)."""
    total = math.prod(sides)
    index = torch.arange(total + 1)
    if shift is None:
        return index
    pitch = math.prod(sides[shift + 1 :])
    stays = (index // pitch % sides[shift] + 1 < sides[shift]) & (index < total)
    return torch.where(stays, index + pitch, total)


def _mirrored(taps: Tensor, mirrors: Tensor) -> Tensor:
    """Return the taps of every direction, (R, P, K), from those of one that is not mirrored, (P, K), -1 for none."""
    total = len(taps)
    padded = torch.cat([mirrors, torch.full((len(mirrors), 1), total)], 1)  # -1 is the last
    result = torch.empty(len(mirrors), *taps.shape, dtype=torch.int64)
    for direction, mirror in enumerate(mirrors):
        result[direction, mirror] = padded[direction][taps]
    return result
