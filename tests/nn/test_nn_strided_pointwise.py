"""Narrow 1x1 convolutions with a stride: the same outputs and gradients, without oneDNN's fault."""

import copy

import pytest
import torch
from torch import nn

from seewhy.models.classifiers.classifier import Classifier
from seewhy.nn import skip_unread_pixels_


@pytest.mark.parametrize("stride", [2, (1, 2), (2, 1), (3, 4)])
@pytest.mark.parametrize("channels", [1, 3, 15])
def test_outputs_and_gradients_are_those_of_the_convolution(channels, stride):
    torch.manual_seed(0)
    plain = nn.Sequential(nn.Conv2d(channels, 24, 1, stride)).double()
    # Beyond this point nothing may run in channels_last memory but what was mended: the fault ends the process.
    mended = skip_unread_pixels_(copy.deepcopy(plain)).float()
    assert mended[0].stride == (1, 1)
    mended.to(memory_format=torch.channels_last)
    x = torch.randn(2, channels, 65, 63)
    expected, found = x.double().requires_grad_(), x.to(memory_format=torch.channels_last).requires_grad_()
    assert torch.allclose(mended(found), plain(expected).float(), atol=1e-5)
    mended(found).square().sum().backward()
    plain(expected).square().sum().backward()
    assert torch.allclose(found.grad, expected.grad.float(), rtol=1e-3, atol=1e-4)
    assert torch.allclose(mended[0].weight.grad, plain[0].weight.grad.float(), rtol=1e-3, atol=1e-2)
    assert skip_unread_pixels_(mended)[0].stride == (1, 1)
    assert len(mended[0]._forward_pre_hooks) == 1
    assert torch.allclose(copy.deepcopy(mended)(x), mended(x), atol=1e-5)


@pytest.mark.parametrize(
    "conv",
    [
        nn.Conv2d(16, 8, 1, 2),
        nn.Conv2d(3, 8, 1),
        nn.Conv2d(3, 8, 3, 2),
        nn.Conv2d(3, 8, 1, 2, padding=1),
        nn.Conv2d(4, 8, 1, 2, groups=2),
    ],
)
def test_others_are_left_alone(conv):
    stride = conv.stride
    skip_unread_pixels_(conv)
    assert conv.stride == stride
    assert not conv._forward_pre_hooks


def test_a_classifier_mends_the_network_that_it_is_given():
    net = nn.Sequential(nn.Conv2d(3, 48, 1, 2), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(48, 2))
    classifier = Classifier(net, [0.5] * 3, [0.5] * 3)
    assert net[0].stride == (1, 1)
    classifier(torch.zeros(2, 3, 128, 128, dtype=torch.uint8)).sum().backward()
    assert net[0].weight.grad.isfinite().all()
