"""Networks hold the regularisers of their design, where they belong."""

import pytest
import torch
from torch import nn

from seewhy import models
from seewhy.core.errors import InputError
from seewhy.nn import (
    DropConnectConv2d,
    DropConnectLinear,
    Dropout,
    FractionalMaxPool2d,
    ResidualBlock,
    StochasticDepth,
    fold,
    monte_carlo,
)


def build(name, side=16, **options):
    dropped = {name: value for name, value in options.items() if "drop" in name or name == "stochastic_depth"}
    others = {name: value for name, value in options.items() if name not in dropped}
    return models.build_classifier(
        name,
        in_shape=(3, side, side),
        classes=4,
        rng=torch.Generator().manual_seed(0),
        design=models.ClassifierDesign(
            **{"width": 8, "depth": 2, **others}, regularisers=models.Regularisers(**dropped)
        ),
    )


def kinds(net, kind):
    return [module for module in net.modules() if isinstance(module, kind)]


def test_an_mlp_drops_behind_every_hidden_layer_and_in_the_image():
    net = build("mlp", dropout=0.5, input_dropout=0.2, dropout_kind="classic", depth=3)
    assert [(drop.p, drop.kind) for drop in kinds(net, Dropout)] == [(0.2, "classic"), *[(0.5, "classic")] * 3]


def test_an_mlp_without_normalisation_averages_behind_the_activation():
    net = build("mlp", norm="none", dropconnect=0.5, dropconnect_shared=3, activation="tanh")
    layers = kinds(net, DropConnectLinear)
    assert [(layer.drop, layer.shared, type(layer.activation)) for layer in layers] == [(0.5, 3, nn.Tanh)] * 2
    assert not isinstance(net.head, DropConnectLinear)
    assert [layer.activation for layer in kinds(build("mlp", dropconnect=0.5), DropConnectLinear)] == [None, None]
    pieces = build("mlp", norm="none", dropconnect=0.5, activation="maxout")  # its maximum needs all pieces together
    assert [layer.activation for layer in kinds(pieces, DropConnectLinear)] == [None, None]


@pytest.mark.parametrize("name", ["convnet", "resnet"])
def test_convolutions_in_front_of_activations_drop_weights(name):
    net = build(name, dropconnect=0.25, stem="small")
    dropping = kinds(net, DropConnectConv2d)
    assert len(dropping) == (5 if name == "convnet" else 9)
    assert {layer.drop for layer in dropping} == {0.25}


def test_blocks_survive_less_and_less():
    net = build("resnet", stochastic_depth=0.5, depth=3)
    assert [depth.survival for depth in kinds(net, StochasticDepth)] == pytest.approx(
        [1 - 0.5 * block / 6 for block in range(1, 7)]
    )


def test_a_skipped_block_does_no_work_and_evaluation_scales():
    net = build("resnet", stochastic_depth=0.5, norm="none")
    calls = []
    blocks = kinds(net, ResidualBlock)
    for block in blocks:
        block.conv2.register_forward_hook(lambda *_: calls.append(1))
        nn.init.normal_(block.conv2.weight, std=0.1)
    torch.manual_seed(0)
    x = torch.randn(2, 3, 16, 16)
    for _ in range(50):
        net(x)
    expected = 50 * sum(block.depth.survival for block in blocks)
    assert abs(len(calls) - expected) < 25
    block, maps = blocks[1].eval(), torch.randn(2, 8, 16, 16)
    branch = block.norm2(block.conv2(block.act1(block.norm1(block.conv1(maps)))))
    torch.testing.assert_close(block(maps), block.act2(maps + block.depth.survival * branch))


def test_evaluation_of_a_network_with_stochastic_depth_folds():
    net = build("resnet", stochastic_depth=0.5)
    x = torch.randn(8, 3, 16, 16)
    for _ in range(3):
        net(x)
    folded = fold(net.eval())
    assert len(folded.folded) > 8
    torch.testing.assert_close(folded.module(x), net(x), atol=1e-4, rtol=1e-4)


def test_a_convnet_pools_by_fractions():
    net = build("convnet", side=32, pool="fractional", depth=4)
    assert len(kinds(net, FractionalMaxPool2d)) == 4
    assert not kinds(net, nn.MaxPool2d)
    x = torch.randn(2, 3, 32, 32)
    assert torch.equal(net.eval()(x), net(x))
    assert monte_carlo(net, x, 3).std.max() > 0


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        (
            "convnet",
            {"stochastic_depth": 0.5},
            r"stochastic_depth: skips residual blocks, which a convnet does not have",
        ),
        ("resnet", {"pool": "fractional"}, r"pool: 'fractional' is for convnet, but the network is a resnet"),
        ("mlp", {"pool": "fractionl"}, r"pool: 'fractionl' is not known; .*did you mean 'fractional'"),
        (
            "mlp",
            {"dropout_kind": "classical"},
            r"dropout_kind: 'classical' is not known; .*did you mean 'classic'",
        ),
        ("mlp", {"dropconnect": 1.0}, r"dropconnect: must be at least 0 and less than 1, got 1"),
        ("mlp", {"dropconnect": 0.5, "dropconnect_shared": 0}, r"dropconnect_shared: must be at least 1, got 0"),
    ],
)
def test_what_does_not_fit_is_refused(name, options, message):
    with pytest.raises(InputError, match=message):
        build(name, **options)


def test_stochastic_forward_passes_skip_blocks_as_training_does():
    net = build("resnet", stochastic_depth=0.9).eval()
    for block in kinds(net, ResidualBlock):
        nn.init.ones_(block.norm2.weight)
    assert monte_carlo(net, torch.randn(3, 3, 16, 16), 5).std.max() > 0
    assert not any(module.training for module in net.modules())
