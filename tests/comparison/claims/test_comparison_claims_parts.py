"""The parts that the claims about second-order methods, overfitting and generative models are measured with, each on a case that is known."""

import pytest
import torch
from torch import nn

from seewhy.comparison.claims.c17_secant_and_recovery import _worst_residual
from seewhy.comparison.claims.c24_causal_pixels import _reached
from seewhy.comparison.claims.c26_meaning_of_dimensions import explained_shares, factor
from seewhy.comparison.claims.c27_bound_and_kl import _bound_and_gap, _log_evidence
from seewhy.comparison.claims.c28_blur_and_sharpness import sharpness
from seewhy.comparison.claims.generators import fit_gan, trained_autoencoder, trained_vae
from seewhy.comparison.claims.regression import Regression, orders, path
from seewhy.comparison.claims.setting import Examples, load_setting
from seewhy.comparison.claims.subsets import Augmented, Training, classifier, generalise, stored, subset
from seewhy.core.seeding import rng
from seewhy.data import Augment
from seewhy.models import AdversarialDesign, ClassifierDesign, IntensityLevels, RasterGenerator, build_gan
from seewhy.optim.curvature import hessian


@pytest.fixture(scope="module")
def setting():
    return load_setting(quick=True)


@pytest.fixture(scope="module")
def regression(setting):
    return Regression(setting, side=4, images=60, penalty=1e-2, seed=0)


def test_orders_are_those_of_known_sequences():
    linear = [0.5**k for k in range(10)]
    quadratic = [0.5 ** (2**k) for k in range(6)]
    assert orders(linear, 1e-12) == pytest.approx([1.0] * 8)
    assert orders(quadratic, 1e-30) == pytest.approx([2.0] * 4)
    assert len(orders(linear, 0.1)) == 2


def test_the_minimum_of_a_regression_is_stationary_and_convex(regression):
    w = regression.minimum()
    assert float(torch.func.grad(regression)(w).norm()) < 1e-10
    assert float(torch.linalg.eigvalsh(hessian(regression, w))[0]) >= 1e-2 * (1 - 1e-9)


def test_a_path_begins_at_its_start_and_falls(regression):
    points = list(path(regression, regression.start(0, 0.1), "bfgs", max_iter=5))
    values = [float(regression(point)) for point in points]
    assert torch.equal(points[0], regression.start(0, 0.1))
    assert values == sorted(values, reverse=True)
    assert len(points) == 6


def test_the_secant_residual_sees_a_wrong_update(regression, monkeypatch):
    points = list(path(regression, regression.start(0, 0.1), "bfgs", max_iter=5))
    assert _worst_residual(regression, points) < 1e-12
    monkeypatch.setattr("seewhy.optim.updates.dfp", lambda D, s, y: D)
    assert _worst_residual(regression, points) > 1e-3


def test_a_subset_shares_no_image_with_what_it_is_tested_on(setting):
    few, test = subset(setting, 50, 0)
    assert len(few) == 50
    assert len(test) == len(setting.test) + len(setting.train) - 50
    seen = {row.numpy().tobytes() for row in few.pixels}
    assert not seen & {row.numpy().tobytes() for row in test.pixels}
    assert not torch.equal(subset(setting, 50, 1)[0].y, few.y)


def test_augmentation_is_of_training_alone_and_differs_from_step_to_step(setting):
    net = classifier(setting, "mlp", seed=0, design=ClassifierDesign(norm="none", width=8, depth=1))
    augmented, x = Augmented(net, Augment(crop_padding=1), 0), stored(setting.test)[:20]
    first, second = augmented.train()(x), augmented(x)
    assert not torch.equal(first, second)
    assert torch.equal(augmented.eval()(x), net(x))


def test_memorised_images_leave_a_gap(setting):
    design = ClassifierDesign(norm="none", width=64, depth=2)

    def shuffled(seed):
        return classifier(setting, "mlp", seed=seed, design=design)

    training = Training(images=20, steps=100, rates=(0.1,), target=0.1)
    found = generalise(setting, {"mlp": shuffled}, training)["mlp"]
    assert all(0.1 < gap < 0.8 for gap in found.gap)
    assert [gap + accuracy for gap, accuracy in zip(found.gap, found.accuracy, strict=True)] == pytest.approx(
        [1.0, 1.0]
    )
    assert all(0 < steps < 100 for steps in found.steps)


class Peeking(nn.Module):
    """Logits at each pixel from the pixel itself and all before it, plus the last of all."""

    def __init__(self, shape, *, last):
        super().__init__()
        self.shape, self.levels, self.classes, self.last = shape, 2, None, last
        self.register_buffer("anchor", torch.zeros(1))

    def forward(self, values, labels=None):
        flat = values.flatten(1).float()
        sums = flat.cumsum(1) - flat + (flat[:, -1:] if self.last else 0.0)
        return torch.stack([sums, -sums], 1).view(len(values), 2, *self.shape)


@pytest.mark.parametrize("last", [False, True])
def test_a_network_that_peeks_is_found_out(setting, last):
    model = RasterGenerator(Peeking((1, 8, 8), last=last), IntensityLevels())
    reached = _reached(model, setting, 0)
    rows, columns = torch.triu_indices(64, 64)
    assert int(reached[rows, columns].sum()) == (64 if last else 0)
    assert reached[tuple(torch.tril_indices(64, 64, offset=-1))].all()


def test_both_sides_of_the_bound_agree(setting):
    model = trained_vae(setting, seed=0, steps=20, latent_dim=2, width=16)
    values = model.levels.values(stored(setting.test)[:2], rng(0)).float()
    evidence = _log_evidence(model, values)
    bound, gap = _bound_and_gap(model, values, evidence)
    assert torch.allclose(evidence, bound + gap, atol=1e-3)
    assert float(gap.min()) > 0
    _, wrong = _bound_and_gap(model, values, evidence + 1.0)
    assert torch.allclose(wrong, gap + 1.0, atol=1e-3)


def test_factors_are_what_their_names_say():
    pixels = torch.zeros(3, 1, 5, 5)
    pixels[0, 0, :, 2] = 1.0
    pixels[1, 0, range(5), range(5)] = 0.5
    pixels[2, 0, range(5), range(4, -1, -1)] = 1.0
    images = Examples(pixels, pixels, torch.tensor([4, 7, 7]))
    assert factor(images, "amount of ink").tolist() == pytest.approx([5.0, 2.5, 5.0])
    assert factor(images, "slant").tolist() == pytest.approx([0.0, 1.0, -1.0], abs=1e-6)
    assert factor(images, "class").tolist() == [4, 7, 7]


def test_explained_shares_are_squared_correlations_and_variance_between_classes():
    noise = torch.randn(2000, generator=rng(0))
    classes = torch.arange(2000) % 4
    latents = torch.stack([noise, classes.float() + 0.01 * noise, -3.0 * noise], 1)
    assert explained_shares(latents, noise).tolist() == pytest.approx([1.0, 0.0, 1.0], abs=0.01)
    assert explained_shares(latents, classes).tolist() == pytest.approx([0.0, 1.0, 0.0], abs=0.01)


def test_blurred_images_are_less_sharp(setting):
    images = stored(setting.test)
    blurred = nn.functional.avg_pool2d(images.float(), 3, stride=1, padding=1).to(torch.uint8)
    assert sharpness(blurred) < 0.6 * sharpness(images)


@pytest.mark.parametrize("loss", ["non_saturating", "wasserstein"])
def test_a_gan_is_trained_by_its_seed_alone(setting, loss):
    def weights(seed):
        design = AdversarialDesign(architecture="dense", latent_dim=4, width=20, loss=loss)
        gan = build_gan(in_shape=setting.in_shape, rng=rng(0), design=design)
        before = gan.generator.last.weight.clone()
        fit_gan(gan, setting, steps=6, seed=seed, lr=1e-3)
        assert not torch.equal(before, gan.generator.last.weight)
        return gan.generator.last.weight

    torch.manual_seed(1)
    first = weights(0)
    torch.manual_seed(2)
    assert torch.equal(weights(0), first)
    assert not torch.equal(weights(1), first)


def test_autoencoder_and_vae_have_the_same_decoder(setting):
    vae = trained_vae(setting, seed=0, steps=1, latent_dim=3, width=8)
    autoencoder = trained_autoencoder(setting, seed=0, steps=1, latent_dim=3, width=8)
    shapes = [{name: p.shape for name, p in model.networks.decoder.named_parameters()} for model in (vae, autoencoder)]
    assert shapes[0] == shapes[1]
