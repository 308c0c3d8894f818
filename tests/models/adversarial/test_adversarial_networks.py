"""Generators and discriminators: sizes, ranges, spectral norms, class labels, precision."""

import itertools
import math

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from seewhy.core.errors import InputError
from seewhy.models.adversarial.dcgan import ConvDiscriminator, ConvGenerator, Down, Up, ladder
from seewhy.models.adversarial.dense import DenseDiscriminator, DenseGenerator, spectrally_normalised
from seewhy.models.adversarial.networks import Noise

SIDES = [(4, 4), (5, 4), (7, 9), (8, 8), (28, 28), (32, 17), (4, 64), (33, 33)]


@pytest.mark.parametrize("sides", SIDES)
@pytest.mark.parametrize("depth", [1, 3])
def test_images_of_any_sides(sides, depth):
    torch.manual_seed(0)
    shape = (3, *sides)
    generator = ConvGenerator(shape, Noise(5), width=4, depth=depth)
    discriminator = ConvDiscriminator(shape, width=4, depth=depth)
    images = generator(generator.noise.sample(16))
    assert images.shape == (16, *shape)
    assert images.dtype == torch.float32
    assert discriminator(images).shape == (16,)
    # Every pixel depends on the noise, and the logit on every pixel.
    assert (images.std(0) > 0).all()
    images = images.detach().requires_grad_()
    (gradient,) = torch.autograd.grad(discriminator(images).square().sum(), images)
    assert (gradient != 0).any(0).all()


@pytest.mark.parametrize("sides", SIDES)
@pytest.mark.parametrize("depth", [1, 2, 4])
def test_the_ladder_halves_down_to_four(sides, depth):
    rungs = ladder(*sides, depth)
    assert rungs[0] == sides
    assert len(rungs) - 1 >= depth
    assert all(3 <= side <= 4 for side in rungs[-1])
    for large, small in itertools.pairwise(rungs):
        assert all(b in {a, math.ceil(a / 2)} for a, b in zip(large, small, strict=True))


@pytest.mark.parametrize(("large", "small"), [((8, 6), (4, 3)), ((7, 5), (4, 3)), ((4, 9), (4, 5)), ((3, 4), (3, 4))])
def test_stages_have_the_sizes_of_their_rungs(large, small):
    x = torch.randn(2, 3, *large)
    down = Down(3, 5, large, small, bias=True, spectral=False)
    assert down(x).shape == (2, 5, *small)
    assert Up(5, 3, small, large, bias=True)(down(x)).shape == x.shape


def test_the_dense_networks_are_the_papers():
    generator, discriminator = DenseGenerator((1, 28, 28)), DenseDiscriminator((1, 28, 28))
    sizes = [tuple(weight.shape) for weight in generator.parameters()]
    assert sizes == [(1200, 100), (1200,), (1200, 1200), (1200,), (784, 1200), (784,)]
    sizes = [tuple(weight.shape) for weight in discriminator.parameters()]
    assert sizes == [(5 * 240, 784), (5 * 240,), (5 * 240, 240), (5 * 240,), (1, 240), (1,)]
    for network, spread in ((generator, 0.05), (discriminator, 0.005)):
        for weight in network.parameters():
            if weight.dim() == 2:
                assert weight.abs().max() <= spread
                assert weight.std().item() == pytest.approx(spread / math.sqrt(3), rel=0.1)
    z = generator.noise.sample(20000)
    assert z.abs().max() <= math.sqrt(3)
    assert z.var().item() == pytest.approx(1.0, abs=0.01)


def test_the_dense_discriminator_is_its_formula():
    network = DenseDiscriminator((2, 3), width=4, pieces=3, init_bound=None).eval()
    x = torch.randn(7, 2, 3)
    hidden = x.flatten(1)
    for layer in network.layers:
        pieces = F.linear(hidden, layer.weight, layer.bias).view(7, 3, 4)
        hidden = pieces.amax(1)
    torch.testing.assert_close(network(x), (hidden @ network.head.weight.T + network.head.bias)[:, 0])
    network.train()
    assert not torch.equal(network(x), network(x))


@pytest.mark.parametrize("output", ["sigmoid", "tanh", "linear"])
def test_the_first_images_are_the_mean_image(output):
    images = torch.rand(200, 1, 4, 4) * 0.8 + 0.1
    images[:, 0, 0, 0] = 0.0
    generator = DenseGenerator((1, 4, 4), Noise(3), widths=(8,), output=output)
    generator.fit(images)
    with torch.no_grad():
        generator.last.weight.zero_()
    mean = images.mean(0)
    mean[0, 0, 0] = {"sigmoid": 0.5 / 255, "tanh": mean[0, 0, 0].item(), "linear": 0.0}[output]
    torch.testing.assert_close(generator(generator.noise.sample(1))[0], mean)


def test_norms_are_held_to_the_limit():
    network = DenseDiscriminator((20,), width=6, pieces=2, max_norm=0.5, init_bound=1.0)
    before = [layer.weight.detach().clone() for layer in network.layers]
    network.constrain()
    for layer, old in zip(network.layers, before, strict=True):
        assert layer.weight.norm(dim=1).max() <= 0.5 + 1e-6
        torch.testing.assert_close(F.normalize(layer.weight), F.normalize(old))
    free = DenseDiscriminator((20,), width=6, pieces=2, init_bound=1.0)
    old = free.layers[0].weight.detach().clone()
    free.constrain()
    assert torch.equal(free.layers[0].weight, old)


def test_spectral_norms_are_one_after_enough_iterations():
    network = ConvDiscriminator((3, 9, 8), width=4, depth=3, norm="spectral", classes=5)
    x, labels = torch.randn(2, 3, 9, 8), torch.tensor([1, 4])
    for _ in range(100):
        network(x, labels)
    network.eval()
    matrices = [down.conv.weight for down in network.downs] + [network.head.weight, network.table.weight]
    assert len(matrices) == 5
    for matrix in matrices:
        largest = torch.linalg.svdvals(matrix.detach().flatten(1).double())[0].item()
        assert largest == pytest.approx(1.0, abs=5e-3)


def test_a_dense_discriminator_with_spectral_norms_is_lipschitz():
    torch.manual_seed(0)
    network = spectrally_normalised(DenseDiscriminator((4, 5), width=6, pieces=3, classes=2))
    x, labels = torch.randn(200, 4, 5), torch.arange(200) % 2
    for _ in range(100):
        network(x, labels)
    network.eval()
    for matrix in (*(layer.weight for layer in network.layers), network.head.weight):
        assert torch.linalg.svdvals(matrix.detach().double())[0].item() == pytest.approx(1.0, abs=5e-3)
    moved = x + 0.1 * torch.randn_like(x)
    slopes = (network(moved, labels) - network(x, labels)).abs() / (moved - x).flatten(1).norm(dim=1)
    assert 0 < slopes.max() <= 1.01


def test_spectral_norms_are_computed_in_float32_under_autocast():
    network = ConvDiscriminator((1, 8, 8), width=8, norm="spectral")
    with torch.autocast("cpu", torch.bfloat16):
        for _ in range(100):
            network(torch.randn(2, 1, 8, 8))
    network.eval()
    for down in network.downs:
        largest = torch.linalg.svdvals(down.conv.weight.detach().flatten(1))[0].item()
        assert largest == pytest.approx(1.0, abs=5e-3)


@pytest.mark.parametrize("norm", ["batch", "layer", "spectral", "none"])
def test_only_batch_normalisation_depends_on_the_batch(norm):
    network, x = ConvDiscriminator((1, 8, 8), width=16, depth=2, norm=norm), torch.randn(6, 1, 8, 8)
    network(x)
    if norm == "spectral":
        network.eval()
    alone, together = network(x[:2]), network(x)[:2]
    assert torch.allclose(alone, together, atol=1e-6) == (norm != "batch") == (not network.batch_dependent)


@pytest.mark.parametrize("condition", ["projection", "concatenation"])
def test_labels_change_the_outputs(condition):
    shape, labels = (1, 8, 8), torch.tensor([0, 1, 2])
    pairs = [
        (
            ConvGenerator(shape, Noise(4), width=4, classes=3),
            ConvDiscriminator(shape, width=4, norm="none", condition=condition, classes=3),
        ),
        (DenseGenerator(shape, classes=3), DenseDiscriminator(shape, classes=3, init_bound=None)),
    ]
    for generator, discriminator in pairs:
        generator.eval()
        discriminator.eval()
        z = generator.noise.sample(1).expand(3, -1)
        images = generator(z, labels)
        assert not torch.allclose(images[0], images[1])
        same = images[:1].expand(3, -1, -1, -1)
        assert len(discriminator(same, labels).unique()) == 3
        torch.testing.assert_close(generator(z, labels)[1:2], generator(z[1:2], labels[1:2]))


def test_projection_is_its_formula():
    network = ConvDiscriminator((2, 8, 8), width=4, norm="none", classes=3).eval()
    x, labels = torch.randn(4, 2, 8, 8), torch.tensor([0, 2, 1, 2])
    phi = x
    for down in network.downs:
        phi = F.leaky_relu(F.conv2d(phi, down.conv.weight, down.conv.bias, stride=2, padding=1), 0.2)
    phi = phi.flatten(1)
    logits = phi @ network.head.weight[0] + network.head.bias + (network.table.weight[labels] * phi).sum(1)
    torch.testing.assert_close(network(x, labels), logits)


@pytest.mark.parametrize("norm", ["batch", "layer", "spectral"])
def test_precision_inside_does_not_show_outside(norm):
    generator, discriminator = ConvGenerator((1, 9, 9), width=8), ConvDiscriminator((1, 9, 9), width=8, norm=norm)
    z = generator.noise.sample(8)
    with torch.autocast("cpu", torch.bfloat16):
        images = generator(z)
        logits = discriminator(images)
    assert images.dtype == logits.dtype == torch.float32
    torch.testing.assert_close(images, generator(z), atol=0.02, rtol=0.1)
    logits.sum().backward()
    assert all(weight.grad.isfinite().all() for weight in generator.parameters())


def test_discriminators_use_channels_last():
    network = ConvDiscriminator((1, 8, 8), width=4, norm="none")
    outputs = []
    network.downs[0].conv.register_forward_hook(lambda _m, _i, out: outputs.append(out))
    network(torch.randn(2, 1, 8, 8))
    assert outputs[0].is_contiguous(memory_format=torch.channels_last)
    assert not any(isinstance(module, nn.BatchNorm2d) for module in network.modules())


WRONG = [
    (lambda: Noise(0), r"size: must be at least 1"),
    (lambda: Noise(4, "gauss"), "kind: 'gauss' is not known; allowed: uniform, normal"),
    (lambda: ConvGenerator((1, 3, 8)), "sides of at least 4 pixels"),
    (lambda: ConvGenerator((8,)), r"shape: must be \(channels, height, width\)"),
    (lambda: ConvGenerator((1, 8, 8), depth=0), "depth: must be at least 1"),
    (lambda: ConvDiscriminator((1, 8, 8), width=0), "width: must be at least 1"),
    (lambda: ConvDiscriminator((1, 8, 8), norm="bach"), "did you mean 'batch'"),
    (lambda: ConvDiscriminator((1, 8, 8), condition="concat"), "condition: 'concat' is not known"),
    (lambda: DenseGenerator((1, 8, 8), output="tan"), "output: 'tan' is not known.*did you mean 'tanh'"),
    (lambda: DenseGenerator((1, 8, 8), widths=(0,)), "widths: must be at least 1 each"),
    (lambda: DenseGenerator((0, 8)), "shape: must be the sizes of an image"),
    (lambda: DenseDiscriminator((8,), depth=0), "depth: must be at least 1"),
    (lambda: DenseDiscriminator((8,), max_norm=0.0), "max_norm: must be more than 0, or None"),
    (lambda: DenseDiscriminator((8,), classes=0), "classes: must be at least 1, or None"),
    (
        lambda: DenseDiscriminator((8,))(torch.zeros(2, 8), torch.zeros(2, dtype=torch.int64)),
        "labels: the model is not class-conditional",
    ),
    (lambda: DenseDiscriminator((8,), classes=2)(torch.zeros(2, 8)), "labels: must be given"),
    (
        lambda: DenseDiscriminator((8,), classes=2)(torch.zeros(2, 8), torch.tensor([0, 2])),
        "labels: must be from 0 to 1",
    ),
    (
        lambda: DenseDiscriminator((8,), classes=2)(torch.zeros(2, 8), torch.tensor([0.0, 1.0])),
        r"labels: must be int64 \(2,\)",
    ),
]


@pytest.mark.parametrize(("make", "message"), WRONG)
def test_wrong_choices_are_named(make, message):
    with pytest.raises(InputError, match=message):
        make()
