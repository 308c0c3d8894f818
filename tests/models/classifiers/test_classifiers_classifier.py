"""The classifier's normalisation and the whitening filters."""

import copy

import pytest
import torch
from torch import nn

from seewhy import models
from seewhy.models.classifiers.convnet import Whitening


def correlated(count, shape):
    """Images whose neighbours and channels resemble each other, as photographs' do."""
    random = torch.Generator().manual_seed(0)
    grey = torch.randn(count, 1, *shape[1:], generator=random)
    colour = 0.3 * torch.randn(count, *shape, generator=random)
    x = nn.functional.avg_pool2d(grey + colour, 3, 1, 1)
    x = (x - x.amin()) / (x.amax() - x.amin())
    return (x * 255).to(torch.uint8)


@pytest.mark.parametrize("channels", [1, 3])
def test_normalises_to_mean_zero_and_standard_deviation_one(channels):
    images = correlated(200, (channels, 12, 12))
    values = images.double() / 255
    mean, std = values.mean((0, 2, 3)), values.std((0, 2, 3))
    model = models.Classifier(nn.Identity(), mean.tolist(), std.tolist())
    x = model(images)
    expected = (values - mean.view(-1, 1, 1)) / std.view(-1, 1, 1)
    torch.testing.assert_close(x, expected.float(), atol=1e-4, rtol=1e-4)
    assert x.is_contiguous(memory_format=torch.channels_last)
    assert {"mean", "std"} <= set(model.state_dict())


def test_logits_are_float32_under_autocast_and_copies_work():
    design = models.ClassifierDesign(width=4, depth=1)
    net = models.build_classifier("resnet", in_shape=(3, 8, 8), classes=3, design=design, rng=torch.Generator())
    model = copy.deepcopy(models.Classifier(net, [0.5] * 3, [0.2] * 3))
    with torch.autocast("cpu", torch.bfloat16):
        assert model(correlated(4, (3, 8, 8))).dtype == torch.float32
    assert model.net.stem.conv.weight.is_contiguous(memory_format=torch.channels_last)


@pytest.mark.parametrize("channels", [1, 3])
def test_whitened_patches_are_white(channels):
    images = correlated(400, (channels, 12, 12))
    values = images.double() / 255
    layer = Whitening(channels, eps=1e-9)
    net = nn.Sequential(layer)
    model = models.Classifier(net, values.mean((0, 2, 3)).tolist(), values.std((0, 2, 3)).tolist())
    models.prepare_classifier(model, images)
    with torch.no_grad():
        out = model(images)
    half = out.shape[1] // 2
    assert out.shape[1] == 8 * channels
    torch.testing.assert_close(out[:, :half], -out[:, half:])
    rows = out[:, :half].permute(0, 2, 3, 1).reshape(-1, half).double()
    torch.testing.assert_close(rows.T @ rows / len(rows), torch.eye(half, dtype=torch.float64), atol=2e-3, rtol=0)


def test_prepare_is_a_function_of_the_images_and_leaves_the_rest_alone():
    def make():
        design, random = models.ClassifierDesign(width=4), torch.Generator().manual_seed(0)
        net = models.build_classifier("convnet", in_shape=(3, 8, 8), classes=3, design=design, rng=random)
        return models.Classifier(net, [0.5] * 3, [0.2] * 3)

    images = correlated(50, (3, 8, 8))
    untouched, first, second = make(), make(), make()
    models.prepare_classifier(first, images)
    models.prepare_classifier(second, images)
    for (key, value), before in zip(first.state_dict().items(), untouched.state_dict().values(), strict=True):
        assert torch.equal(value, second.state_dict()[key])
        assert torch.equal(value, before) == (key != "net.stem.white.conv.weight")
    assert not first.net.stem.white.conv.weight.requires_grad
