"""What `build_classifier` refuses, and what the networks look like."""

import pytest
import torch

from seewhy import models
from seewhy.core.errors import InputError
from seewhy.models import Choice


def build(name="convnet", shape=(3, 32, 32), classes=10, **options):
    design, rng = models.ClassifierDesign(**options), torch.Generator().manual_seed(0)
    return models.build_classifier(name, in_shape=shape, classes=classes, rng=rng, design=design)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            {"name": "resnett"},
            "name: 'resnett' is not known; allowed: mlp, convnet, resnet; did you mean 'resnet'?",
        ),
        ({"name": "mlp", "stem": "small"}, "stem: an mlp has no stem, got 'small'; leave it out"),
        (
            {"name": "mlp", "init": "dirac"},
            "init: 'dirac' is for convolutions, which an mlp does not have; choose he, xavier, lecun, orthogonal or normal",
        ),
        (
            {"name": "resnet", "stem": "whitening"},
            "stem: must be one of small, large for resnet, got 'whitening'; it belongs to convnet",
        ),
        (
            {"shape": (3, 65, 20), "stem": "whitening"},
            "stem: must be small or large for images of more than 64 pixels, got 'whitening'",
        ),
        (
            {"name": "resnet", "depth": 7},
            "depth: must be at most 6 for resnet, got 7; each stage doubles the width",
        ),
        ({"width": 0}, "width: must be at least 1, got 0"),
        ({"depth": 0}, "depth: must be at least 1, got 0"),
        ({"regularisers": models.Regularisers(dropout=1.0)}, "dropout: must be at least 0 and less than 1, got 1.0"),
        (
            {"activation": Choice("relu", {"keep_parameters": True})},
            "keep_parameters: only maxout has more weights than others, got 'relu'; leave it out",
        ),
        (
            {"activation": Choice("relu", {"shared": True})},
            "shared: is an option of prelu, got True with 'relu'; leave it out",
        ),
        (
            {"init": Choice("he", {"std": 0.1})},
            "std: is an option of normal, got 0.1 with 'he'; leave it out",
        ),
        ({"classes": 1}, "classes: must be at least 2, got 1"),
        (
            {"shape": (3, 3, 32)},
            "in_shape: must be (channels, height, width) with sides of at least 4 pixels, got (3, 3, 32)",
        ),
    ],
)
def test_bad_choices_are_refused(arguments, message):
    with pytest.raises(InputError) as caught:
        build(**arguments)
    assert str(caught.value) == message


def test_usual_stems():
    assert "white" in build().stem._modules
    assert "white" not in build(shape=(3, 128, 128)).stem._modules
    assert build("resnet").stem.conv.stride == (1, 1)
    assert build("resnet", shape=(3, 128, 128)).stem[0].conv.stride == (2, 2)


@pytest.mark.parametrize(("shape", "side"), [((3, 32, 32), 3), ((1, 28, 28), 3), ((1, 8, 8), 3), ((3, 64, 64), 7)])
def test_groups_pool_while_three_pixels_remain(shape, side):
    net = build(shape=shape, width=4)
    maps = net.groups(net.stem(torch.zeros(2, *shape)))
    assert maps.shape[2:] == (side, side)


def test_a_network_takes_images_smaller_than_it_was_built_for():
    net = build(width=4)
    assert net(torch.randn(2, 3, 24, 24)).shape == (2, 10)


def test_the_default_network_doubles_its_widths():
    net = build(activation="gelu", init="dirac", width=64)
    shapes = [tuple(p.shape) for p in net.parameters() if p.dim() == 4]
    assert shapes == [
        (24, 3, 2, 2), (64, 24, 3, 3), (64, 64, 3, 3), (128, 64, 3, 3), (128, 128, 3, 3), (256, 128, 3, 3), (256, 256, 3, 3)
    ]  # fmt: skip
    assert net.head.weight.std().item() == pytest.approx(1 / 256, rel=0.1)
    frozen = [key for key, p in net.named_parameters() if not p.requires_grad]
    assert frozen == ["stem.white.conv.weight"]
    assert models.count_parameters(net) == sum(p.numel() for p in net.parameters())


@pytest.mark.parametrize("pieces", [2, 5])
@pytest.mark.parametrize("name", models.CLASSIFIERS)
def test_maxout_keeps_the_width_or_the_parameters(name, pieces):
    sizes = {"name": name, "width": 256 if name == "mlp" else 64, "depth": 3, "shape": (1, 8, 8)}
    plain = models.count_parameters(build(activation="relu", **sizes))
    wide = build(activation=Choice("maxout", {"pieces": pieces}), **sizes)
    assert wide.head.in_features == build(activation="relu", **sizes).head.in_features
    assert models.count_parameters(wide) > 0.8 * pieces * plain
    narrow = build(activation=Choice("maxout", {"pieces": pieces, "keep_parameters": True}), **sizes)
    assert models.count_parameters(narrow) == pytest.approx(plain, rel=0.25)


def test_options_reach_activations_and_initialisations():
    for shared in (True, False):
        net = build("mlp", activation=Choice("prelu", {"shared": shared}), width=7, depth=2)
        assert [len(part.weight) for part in net.modules() if isinstance(part, torch.nn.PReLU)] == [
            1 if shared else 7
        ] * 2
    net = build("mlp", init=Choice("normal", {"std": 0.3}))
    assert all(
        part.weight.std().item() == pytest.approx(0.3, rel=0.1)
        for part in net.modules()
        if isinstance(part, torch.nn.Linear)
    )


def test_resnet_for_large_images_is_slim():
    net = build("resnet", shape=(3, 128, 128), width=32, depth=4)
    work = 0

    def count(module, inputs, output):
        nonlocal work
        work += output[0, 0].numel() * module.weight.numel()

    for module in net.modules():
        if isinstance(module, torch.nn.Conv2d):
            module.register_forward_hook(count)
    net(torch.zeros(2, 3, 128, 128))
    assert 0.1e9 < work < 0.2e9


def test_residual_blocks_start_as_shortcuts():
    net = build("resnet", width=4, depth=2, shape=(3, 16, 16))
    x = net.stem(torch.randn(4, 3, 16, 16))
    torch.testing.assert_close(net.blocks[0](x), torch.relu(x))
