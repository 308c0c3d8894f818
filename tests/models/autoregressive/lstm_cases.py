"""The LSTM's recurrence spelled pixel by pixel, as the paper's formula stands, and what a Row LSTM ought to see."""

import itertools

import torch

from seewhy.models.autoregressive.networks.recurrence import recur


def pixel_by_pixel(x, weight, sides, offsets, mirrored=(), shifted=None):
    """One direction: h at each position, (h, *sides, N), by a loop over positions.

    Args:
        x: gates' inputs i, f, g, o, (4 h, *sides, N).
        weight: (4 h, K h).
        sides: the raster's.
        offsets: K steps from a position to its neighbours, the one whose cell state goes on first.
        mirrored: axes along which the direction is mirrored.
        shifted: the axis along which the result is moved on by one, or None.
    """
    h, n = x.shape[0] // 4, x.shape[-1]
    x = x.flip([1 + axis for axis in mirrored])
    nothing = x.new_zeros(h, n)
    states, hidden_at = {}, {}
    for index in itertools.product(*(range(side) for side in sides)):
        near = [tuple(a + b for a, b in zip(index, offset, strict=True)) for offset in offsets]
        gates = x[(slice(None), *index)] + weight @ torch.cat([hidden_at.get(other, nothing) for other in near])
        i, f, g, o = gates.chunk(4)
        states[index] = torch.sigmoid(f) * states.get(near[0], nothing) + torch.sigmoid(i) * torch.tanh(g)
        hidden_at[index] = torch.sigmoid(o) * torch.tanh(states[index])
    hidden = torch.stack(list(hidden_at.values()), 1).view(h, *sides, n).flip([1 + axis for axis in mirrored])
    if shifted is None:
        return hidden
    axis = 1 + shifted
    first = torch.zeros_like(hidden.narrow(axis, 0, 1))
    return torch.cat([first, hidden.narrow(axis, 0, sides[shifted] - 1)], axis)


def by_steps(x, weight, scan):
    """Return h at each position, (R, h, P, N), by `recur`, from i, f, g, o at each position, (R, 4 h, P, N)."""
    doubled = torch.tensor([1.0, 1.0, 2.0, 1.0], dtype=x.dtype).repeat_interleave(x.shape[1] // 4)[:, None]
    padded = torch.cat([x, torch.randn_like(x[:, :, :1])], 2)  # what empty cells read must not matter
    columns = torch.stack([one[:, reads] for one, reads in zip(padded, scan.reads, strict=True)])
    hidden = recur(columns * doubled[..., None], weight * doubled, scan)
    ends = hidden.new_zeros(*hidden.shape[:2], x.shape[2] + 1, x.shape[3])
    return torch.stack([e.index_copy(1, w, f) for e, w, f in zip(ends, scan.writes, hidden, strict=True)])[:, :, :-1]


ROWS = {
    1: [(-1,)],
    2: [(-1, 0), (-1, -1), (-1, 1)],
    3: [(-1, *step) for step in [(0, 0), (-1, -1), (-1, 0), (-1, 1), (0, -1), (0, 1), (1, -1), (1, 0), (1, 1)]],
}
"""Neighbours of the Row LSTM by the number of axes."""

DIAGONALS = {1: [(-1,)], 2: [(0, -1), (-1, 0)], 3: [(0, 0, -1), (0, -1, 0), (-1, 0, 0)]}
"""Neighbours of the Diagonal BiLSTM by the number of axes."""

DIRECTIONS = {
    1: [((), None)],
    2: [((), None), ((1,), 0)],
    3: [((), None), ((2,), 1), ((1,), 0), ((1, 2), 0)],
}
"""Mirrored axes and the shifted axis of each direction of the Diagonal BiLSTM by the number of axes."""


def seen_by_row_lstm(height, width, depth, kernel):
    """Which pixels each pixel of an image of one channel sees: sets, put together as the network is."""
    reach = kernel // 2
    indices = list(itertools.product(range(height), range(width)))
    visible = {
        (r, j): {(a, b) for a, b in indices if (a, b) < (r, j) and r - a <= reach and abs(j - b) <= reach}
        for r, j in indices
    }
    for _ in range(depth):
        state = {}
        for r, j in indices:
            near = [visible.get((r, j - 1)), visible[r, j], *(state.get((r - 1, j + step)) for step in (-1, 0, 1))]
            state[r, j] = set().union(*(other for other in near if other))
        visible = {index: visible[index] | state[index] for index in indices}
    return visible
