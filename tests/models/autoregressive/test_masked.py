"""Masked convolutions, against masks written out position by position."""

import itertools

import pytest
import torch
from torch.nn import functional as F

from seewhy.core.errors import InputError
from seewhy.models.autoregressive.networks.masked import MaskedConv, StackConv, causal_mask, colours
from seewhy.models.autoregressive.raster import positions

KERNELS = [(5,), (3, 5), (1, 5), (3, 3, 3), (1, 1, 3), (1, 1), (1, 3, 1)]


def whole(conv, values):
    """The convolution with its whole kernel, zeros where it is masked."""
    full = torch.zeros(*conv.weight.shape[:2], *conv.kernel)
    full[tuple(slice(size) for size in conv.mask.shape)] = (conv.weight * conv.mask).detach()
    padding = [side // 2 for side in conv.kernel]
    return {1: F.conv1d, 2: F.conv2d, 3: F.conv3d}[conv.axes](values, full, conv.bias, padding=padding)


def test_colours_are_shared_out_evenly():
    assert colours(7, 3).tolist() == [0, 0, 0, 1, 1, 2, 2]
    assert colours(3, 3).tolist() == [0, 1, 2]
    with pytest.raises(InputError, match=r"width: must be at least the number of channels \(3\), got 2"):
        colours(2, 3)


def test_positions_run_along_the_last_axis_first():
    assert list(positions((2, 3))) == [(0, 0), (0, 1), (0, 2), (1, 0), (1, 1), (1, 2)]
    assert list(positions(())) == [()]


@pytest.mark.parametrize("kind", ["A", "B"])
@pytest.mark.parametrize("shape", KERNELS)
def test_masks_show_what_comes_before(kind, shape):
    inner, outer = colours(4, 3), colours(5, 3)
    mask = causal_mask(shape, kind, inner, outer)
    centre = tuple(side // 2 for side in shape)
    for index in itertools.product(*(range(side) for side in shape)):
        for o, i in itertools.product(range(5), range(4)):
            own = inner[i] < outer[o] or (kind == "B" and inner[i] == outer[o])
            assert mask[(o, i, *index)] == float(index < centre or (index == centre and bool(own)))


@pytest.mark.parametrize("gates", [1, 2])
@pytest.mark.parametrize("kernel", KERNELS)
def test_cropped_kernels_give_what_whole_ones_give(kernel, gates):
    torch.manual_seed(0)
    conv = MaskedConv("B", 4, 6, kernel, channels=2, gates=gates)
    x = torch.randn(2, 4, *(6, 5, 4)[: len(kernel)])
    assert conv(x).shape == (2, 6 * gates, *x.shape[2:])
    torch.testing.assert_close(conv(x), whole(conv, x), rtol=1e-5, atol=1e-5)


def test_each_gate_is_shared_out_among_the_colours():
    conv = MaskedConv("B", 4, 4, (1,), channels=2, gates=2)
    assert conv.mask[..., 0].tolist() == [[1, 1, 0, 0], [1, 1, 0, 0], [1, 1, 1, 1], [1, 1, 1, 1]] * 2


@pytest.mark.parametrize("strict", [False, True])
@pytest.mark.parametrize(("kernel", "axis"), [((3, 5), 0), ((3, 3, 5), 0), ((1, 3, 5), 1)])
def test_stacks_see_all_of_what_is_not_behind_along_their_axis(kernel, axis, strict):
    torch.manual_seed(0)
    conv = StackConv(3, 2, kernel, axis=axis, strict=strict)
    x = torch.randn(1, 3, *(6, 5, 4)[: len(kernel)], requires_grad=True)
    y = conv(x)
    assert y.shape == (1, 2, *x.shape[2:])
    p = tuple(side // 2 for side in x.shape[2:])
    (gradient,) = torch.autograd.grad(y[(0, 0, *p)], x)
    for q in positions(x.shape[2:]):
        near = all(abs(a - b) <= side // 2 for a, b, side in zip(p, q, kernel, strict=True))
        before = q[axis] < p[axis] if strict else q[axis] <= p[axis]
        assert bool((gradient[(0, slice(None), *q)] != 0).all()) == (near and before)
        assert bool((gradient[(0, slice(None), *q)] != 0).any()) == (near and before)


@pytest.mark.parametrize("strict", [False, True])
@pytest.mark.parametrize(("kernel", "axis"), [((3, 5), 0), ((3, 3, 3), 0), ((1, 5, 3), 1)])
def test_a_slice_of_a_stack_is_that_of_the_whole(kernel, axis, strict):
    torch.manual_seed(0)
    conv = StackConv(3, 2, kernel, axis=axis, strict=strict)
    x = torch.randn(2, 3, *(6, 5, 4)[: len(kernel)])
    at = 3
    end = at if strict else at + 1
    part = x.movedim(2 + axis, 2)[:, :, end - conv.taps : end]  # what is visible along the axis
    here = conv(x).select(2 + axis, at)
    for lead in positions(x.shape[2 : 2 + axis]):
        visible = part[(slice(None), slice(None), slice(None), *lead)]
        torch.testing.assert_close(conv.slice(visible), here[(slice(None), slice(None), *lead)], rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("kernel", [(2, 3), (3, 0), (), (3, 3, 3, 3)])
def test_kernels_without_a_centre_are_refused(kernel):
    with pytest.raises(InputError, match="kernel"):
        MaskedConv("A", 1, 4, kernel)


@pytest.mark.parametrize(("kernel", "axis"), [((2, 3), 0), ((1, 3), 0)])
def test_stacks_that_see_nothing_are_refused(kernel, axis):
    with pytest.raises(InputError, match="kernel"):
        StackConv(1, 4, kernel, axis=axis)
