"""Encoders and decoders: shapes of any size, the class, the start, precision."""

import pytest
import torch
from torch.nn import functional as F

from seewhy.core.errors import InputError
from seewhy.models.labels import append_one_hot
from seewhy.models.latent.architectures import ARCHITECTURES
from seewhy.models.latent.design import LatentDesign
from seewhy.models.latent.layers import map_sides

SHAPES = [(1, 28, 28), (3, 9, 5), (1, 4, 4), (2, 7, 16)]
every_architecture = pytest.mark.parametrize("architecture", ARCHITECTURES.names())


@every_architecture
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("activation", ["tanh", "maxout", "prelu"])
def test_any_size_and_every_weight_learns(architecture, shape, activation):
    networks = LatentDesign(architecture=architecture, width=4, depth=3, activation=activation).networks(3)
    encoder, decoder = networks.encoder(shape, 6), networks.decoder(shape, 5, 2 * shape[0])
    labels = torch.tensor([0, 2])
    features = encoder(torch.randn(2, *shape), labels)
    maps = decoder(torch.randn(7, 2, 5), labels)
    assert features.shape == (2, 6)
    assert maps.shape == (7, 2, 2 * shape[0], *shape[1:])
    (features.sum() + maps.square().sum()).backward()
    for network in (encoder, decoder):
        assert all(part.grad is not None and part.grad.abs().sum() > 0 for part in network.parameters())


def test_dense_is_the_network_of_burda():
    networks = LatentDesign().networks(None)
    torch.manual_seed(0)
    encoder, decoder = networks.encoder((1, 28, 28), 100), networks.decoder((1, 28, 28), 50, 1)
    assert [tuple(w.shape) for w in encoder.parameters() if w.ndim == 2] == [(200, 784), (200, 200), (100, 200)]
    assert [tuple(w.shape) for w in decoder.parameters() if w.ndim == 2] == [(200, 50), (200, 200), (784, 200)]
    x = torch.randn(3, 1, 28, 28)
    first, second = encoder.layers[0], encoder.layers[2]
    twin = encoder.head(torch.tanh(second(torch.tanh(first(x.flatten(1))))))
    torch.testing.assert_close(encoder(x), twin)


def test_maps_are_halved_down_to_two_pixels():
    assert map_sides((1, 28, 28), 9) == [(28, 28), (14, 14), (7, 7), (4, 4), (2, 2)]
    assert map_sides((1, 28, 28), 2) == [(28, 28), (14, 14), (7, 7)]
    assert map_sides((3, 9, 5), 9) == [(9, 5), (5, 3), (3, 2)]
    with pytest.raises(InputError, match="at least 4, got 3 x 8; choose dense"):
        map_sides((1, 3, 8), 2)


def test_the_class_is_a_one_hot_vector_behind_the_features():
    x, labels = torch.randn(4, 2, 3), torch.tensor([1, 0])
    conditioned = append_one_hot(x, labels, 5)
    torch.testing.assert_close(conditioned[..., :3], x)
    torch.testing.assert_close(conditioned[2, :, 3:], F.one_hot(labels, 5).float())
    assert append_one_hot(x, None, None) is x


@every_architecture
def test_the_class_changes_the_output(architecture):
    networks = LatentDesign(architecture=architecture, width=4).networks(3)
    torch.manual_seed(0)
    encoder, decoder = networks.encoder((1, 8, 8), 6), networks.decoder((1, 8, 8), 5, 1)
    x, latents = torch.randn(1, 1, 8, 8), torch.randn(1, 5)
    for network, inputs in ((encoder, x), (decoder, latents)):
        outputs = [network(inputs, torch.tensor([label])) for label in range(3)]
        assert (outputs[0] - outputs[1]).abs().max() > 1e-3
        assert (outputs[0] - outputs[2]).abs().max() > 1e-3


@every_architecture
def test_start_sets_the_bias_of_every_value(architecture):
    decoder = LatentDesign(architecture=architecture, width=4).networks(None).decoder((2, 8, 6), 5, 2)
    latents, wanted = torch.randn(3, 5), torch.randn(2, 8, 6)
    before = decoder(latents)
    decoder.start(wanted)
    torch.testing.assert_close(decoder(latents), before + wanted)


@every_architecture
def test_bfloat16_inside_gives_float32(architecture):
    networks = LatentDesign(architecture=architecture, width=8).networks(None)
    encoder, decoder = networks.encoder((1, 8, 8), 6), networks.decoder((1, 8, 8), 5, 1)
    x, latents = torch.randn(2, 1, 8, 8), torch.randn(2, 5)
    exact = encoder(x), decoder(latents)
    with torch.autocast("cpu", torch.bfloat16):
        rough = encoder(x), decoder(latents)
    for a, b in zip(exact, rough, strict=True):
        assert b.dtype == torch.float32
        assert 0 < (a - b).abs().max() < 0.05


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"architecture": "dens"}, "did you mean 'dense'"),
        ({"activation": "softmax"}, "for the output alone"),
        ({"width": 0}, "width: must be at least 1, got 0"),
        ({"depth": 0}, "depth: must be at least 1, got 0"),
    ],
)
def test_bad_choices_are_named(options, message):
    with pytest.raises(InputError, match=message):
        LatentDesign(**options)
