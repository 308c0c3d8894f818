"""Blocks: shapes, the residual formula, biases."""

import pytest
import torch

from seewhy.core.errors import InputError
from seewhy.nn import NORMS, ConvNormAct, Parts, ResidualBlock


@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("side", [7, 8])
def test_shapes(stride, side):
    parts = Parts("relu", "batch")
    x = torch.randn(2, 4, side, side + 2)
    expected = (2, 6, -(-side // stride), -(-(side + 2) // stride))
    assert ConvNormAct(4, 6, parts, stride=stride)(x).shape == expected
    assert ResidualBlock(4, 6, parts, stride=stride)(x).shape == expected


def test_residual_formula():
    block = ResidualBlock(4, 4, Parts("tanh", "batch"))
    x = torch.randn(3, 4, 5, 5)
    inner = block.norm2(block.conv2(torch.tanh(block.norm1(block.conv1(x)))))
    torch.testing.assert_close(block(x), torch.tanh(inner + x))


@pytest.mark.parametrize("norm", NORMS.names())
@pytest.mark.parametrize("stride", [1, 2])
def test_block_can_start_as_its_shortcut(norm, stride):
    block = ResidualBlock(16, 16, Parts("elu", norm), stride=stride)
    block.start_as_shortcut()
    x = torch.randn(3, 16, 6, 6)
    shortcut = block.shortcut(x)
    if norm == "none":
        shortcut = shortcut + block.conv2.bias.view(1, -1, 1, 1)
    torch.testing.assert_close(block(x), torch.nn.functional.elu(shortcut))


def test_parts_carry_options_of_the_normalisation():
    assert Parts("relu", "batch", momentum=0.4).normalise(4, dims=2).momentum == 0.4
    layer = Parts("relu", "batch", {"momentum": 0.2, "eps": 1e-3}, momentum=0.4).normalise(4, dims=2)
    assert (layer.momentum, layer.eps) == (0.2, 1e-3)
    assert Parts("relu", "batch", {"momentum": None}, momentum=0.4).normalise(4, dims=2).momentum == 0.4
    assert Parts("relu", "group", {"groups": 2}, momentum=0.4).normalise(4, dims=2).num_groups == 2
    with pytest.raises(InputError, match="groups: is an option of group, got 2 with 'batch'"):
        Parts("relu", "batch", {"groups": 2}).normalise(4, dims=2)


def test_biases_only_where_nothing_normalises():
    assert ConvNormAct(3, 4, Parts("relu", "batch")).conv.bias is None
    assert ConvNormAct(3, 4, Parts("relu", "none")).conv.bias is not None
