"""The gradient penalty against closed forms, finite differences, and a twin that differentiates image by image."""

import pytest
import torch

from seewhy.core.errors import InputError
from seewhy.models.adversarial.dcgan import ConvDiscriminator
from seewhy.models.adversarial.dense import DenseDiscriminator
from seewhy.models.adversarial.penalty import gradient_norms, gradient_penalty


def test_of_a_plane_it_is_known():
    normal = torch.randn(3, 4, 5)
    real, fake = torch.randn(2, 6, 3, 4, 5)
    penalty = gradient_penalty(lambda x, _: (x * normal).sum((1, 2, 3)) + 7.0, real, fake)
    torch.testing.assert_close(penalty, (normal.norm() - 1.0) ** 2)


def test_of_a_square_it_is_known_at_the_points_between():
    real, fake = torch.randn(2, 50, 4)
    torch.manual_seed(3)
    penalty = gradient_penalty(lambda x, _: 0.5 * x.square().sum(1), real, fake)
    torch.manual_seed(3)
    share = torch.rand(50, 1)
    between = share * real + (1 - share) * fake
    torch.testing.assert_close(penalty, (between.norm(dim=1) - 1).square().mean())


NETWORKS = {
    "conv, layer norm": lambda: ConvDiscriminator((1, 9, 8), width=4, norm="layer", classes=3),
    "conv, spectral": lambda: ConvDiscriminator(
        (1, 9, 8), width=4, norm="spectral", classes=3, condition="concatenation"
    ),
    "dense": lambda: DenseDiscriminator((1, 9, 8), width=8, pieces=3, dropout=0.0, init_bound=None, classes=3),
}


@pytest.mark.parametrize("name", NETWORKS)
def test_value_and_gradients_are_those_of_a_twin_one_image_at_a_time(name):
    network = NETWORKS[name]().double().eval()  # spectral norms are fixed
    images, labels = torch.randn(4, 1, 9, 8, dtype=torch.float64), torch.tensor([0, 2, 1, 1])
    value = (gradient_norms(network, images.clone().requires_grad_(), labels) - 1).square().mean()
    twin = torch.zeros(())
    for image, label in zip(images, labels, strict=True):
        x = image[None].clone().requires_grad_()
        gradient = torch.func.jacrev(lambda y, label=label: network(y, label[None])[0])(x)
        twin = twin + (gradient.norm() - 1) ** 2 / 4
    torch.testing.assert_close(value.double(), twin.double(), rtol=1e-5, atol=1e-6)
    weights = [weight for weight in network.parameters() if weight.dim() > 1]
    ours = torch.autograd.grad(value, weights, allow_unused=True, materialize_grads=True)
    theirs = torch.autograd.grad(twin, weights, allow_unused=True, materialize_grads=True)
    assert sum(float(gradient.abs().sum()) for gradient in ours) > 0
    for gradient, expected in zip(ours, theirs, strict=True):
        torch.testing.assert_close(gradient, expected, rtol=1e-4, atol=1e-7)


def test_the_gradient_by_finite_differences():
    network = DenseDiscriminator((6,), width=5, pieces=2, dropout=0.0, init_bound=None).double()
    weight = network.layers[0].weight

    def penalty():
        torch.manual_seed(0)
        real, fake = torch.randn(2, 40, 6, dtype=torch.float64)
        return gradient_penalty(network, real, fake)

    (gradient,) = torch.autograd.grad(penalty(), weight)
    with torch.no_grad():
        index, step = (3, 2), 1e-3
        weight[index] += step
    above = penalty().item()
    with torch.no_grad():
        weight[index] -= 2 * step
    assert gradient[index].item() == pytest.approx((above - penalty().item()) / (2 * step), rel=2e-2, abs=1e-3)


def test_a_flat_discriminator_has_a_finite_gradient():
    weight = torch.zeros(4, requires_grad=True)
    penalty = gradient_penalty(lambda x, _: x @ weight, torch.randn(5, 4), torch.randn(5, 4))
    penalty.backward()
    assert penalty.item() == pytest.approx(1.0, abs=1e-5)
    assert weight.grad.isfinite().all()


def test_different_shapes_are_refused():
    with pytest.raises(InputError, match="fake: must have the shape of real"):
        gradient_penalty(lambda x, _: x.sum(1), torch.zeros(3, 4), torch.zeros(2, 4))
