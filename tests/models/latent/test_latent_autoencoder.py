"""The autoencoder: its loss, its latents, what random latents are sampled from."""

import pytest
import torch
from torch.nn import functional as F

from seewhy.core.errors import InputError
from seewhy.models.intensity import IntensityLevels
from seewhy.models.latent.autoencoder import Autoencoder
from seewhy.models.latent.design import LatentDesign

SHAPE = (1, 4, 4)


def small(*, classes=None, **options):
    torch.manual_seed(0)
    design = LatentDesign(**{"latent_dim": 3, "width": 8} | options)
    return Autoencoder(SHAPE, design, classes=classes), torch.randint(0, 256, (8, *SHAPE), dtype=torch.uint8)


def test_loss_is_the_sum_over_pixels():
    model, images = small(levels=IntensityLevels(2, "threshold"))
    values = (images >= 128).float()
    maps = model.decode(model.encode(images))
    twin = F.binary_cross_entropy_with_logits(maps, values, reduction="none").sum((1, 2, 3))
    loss = model(images)["loss"]
    torch.testing.assert_close(loss, twin, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(model.log_likelihood(images, samples=9), -loss)
    loss.mean().backward()
    assert all(part.grad is not None for part in model.parameters())


@pytest.mark.parametrize(("likelihood", "levels"), [("gaussian", 256), ("gaussian_learnt", 16), ("logistic", 256)])
@pytest.mark.parametrize("architecture", ["dense", "conv"])
def test_every_likelihood_and_architecture(likelihood, levels, architecture):
    model, images = small(likelihood=likelihood, levels=IntensityLevels(levels), architecture=architecture, width=4)
    model.prepare(images)
    assert model(images)["loss"].shape == (8,)
    assert model.reconstruct(images).dtype == torch.uint8
    with torch.autocast("cpu", torch.bfloat16):
        assert model(images)["loss"].dtype == torch.float32


def test_fitted_latents_are_sampled_with_their_mean_and_covariance():
    model, _ = small()
    mixing = torch.tensor([[2.0, 0.0, 0.0], [1.0, 0.5, 0.0], [0.0, 0.0, 0.0]])
    latents = torch.randn(5000, 3) @ mixing.T + torch.tensor([1.0, -2.0, 3.0])
    model.fit_latents(latents)
    torch.testing.assert_close(model.mean, latents.mean(0))
    torch.testing.assert_close(model.covariance, torch.cov(latents.T), rtol=1e-4, atol=1e-5)
    drawn = model.sample_latents(20000, rng=torch.Generator().manual_seed(0), prior="gaussian")
    torch.testing.assert_close(drawn.mean(0), latents.mean(0), rtol=0, atol=0.05)
    torch.testing.assert_close(torch.cov(drawn.T), mixing @ mixing.T, rtol=0, atol=0.15)
    cold = model.sample_latents(2000, prior="gaussian", temperature=0.5)
    assert cold[:, 0].std().item() == pytest.approx(1.0, abs=0.1)
    plain = model.sample_latents(20000, rng=torch.Generator().manual_seed(0))
    torch.testing.assert_close(torch.cov(plain.T), torch.eye(3), rtol=0, atol=0.05)
    assert plain.mean(0).abs().max() < 0.05


def test_one_latent_dimension_is_enough():
    model, images = small(latent_dim=1)
    model.fit_latents(model.encode(images).detach())
    assert model.sample(3).shape == (3, *SHAPE)


def test_samples_come_from_the_fitted_latents_where_there_are_some():
    model, images = small()

    def drawn(**options):
        return model.sample(6, rng=torch.Generator().manual_seed(1), **options)

    assert torch.equal(drawn(), drawn(prior="standard"))
    with pytest.raises(InputError, match="call fit_latents"):
        drawn(prior="gaussian")
    model.fit_latents(torch.randn(50, 3) * 0.1 + 4.0)
    assert torch.equal(drawn(), drawn(prior="gaussian"))
    assert not torch.equal(drawn(), drawn(prior="standard"))
    assert torch.equal(drawn(), drawn())
    other, _ = small()
    other.load_state_dict(model.state_dict())
    assert torch.equal(drawn(), other.sample(6, rng=torch.Generator().manual_seed(1)))
    assert torch.equal(
        model.reconstruct(images, rng=torch.Generator().manual_seed(2)),
        model.reconstruct(images, rng=torch.Generator().manual_seed(2)),
    )


def test_class_conditioning():
    model, images = small(classes=2)
    labels = torch.arange(8) % 2
    assert model(images, labels)["loss"].shape == (8,)
    both = [model.sample(4, torch.full((4,), label), rng=torch.Generator().manual_seed(0)) for label in (0, 1)]
    assert not torch.equal(*both)
    with pytest.raises(InputError, match="labels: must be given"):
        model(images)


def test_it_learns_to_reconstruct():
    model, images = small(width=32, levels=IntensityLevels(2, "threshold"))
    model.prepare(images)
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
    for _ in range(200):
        optimizer.zero_grad()
        model(images)["loss"].mean().backward()
        optimizer.step()
    binary = torch.where(images >= 128, 255, 0)
    assert (model.reconstruct(images).int() - binary).abs().max() < 100


@pytest.mark.parametrize(
    ("act", "message"),
    [
        (lambda m, x: m.fit_latents(torch.zeros(1, 3)), "at least 2 images"),
        (lambda m, x: m.fit_latents(torch.zeros(5, 4)), "latents: must be"),
        (lambda m, x: m.sample_latents(2, prior="gausian"), "did you mean 'gaussian'"),
        (lambda m, x: m.sample_latents(-1), "n: must be at least 0"),
        (lambda m, x: m.sample_latents(1, temperature=float("nan")), "temperature: must be"),
        (lambda m, x: m(x.float()), "as images are stored"),
        (lambda m, x: m(x[..., :3]), "model's shape"),
    ],
)
def test_bad_input_is_named(act, message):
    with pytest.raises(InputError, match=message):
        act(*small())


def test_a_mixture_of_latents_has_their_modes():
    model, _ = small(latent_dim=2)
    rng = torch.Generator().manual_seed(0)
    centres = torch.tensor([[0.0, 0.0], [20.0, 0.0], [0.0, 20.0]])
    owners = torch.multinomial(torch.tensor([0.5, 0.3, 0.2]), 3000, replacement=True, generator=rng)
    model.fit_latents(centres[owners] + torch.randn(3000, 2, generator=rng))

    def near(prior, temperature=1.0):
        latents = model.sample_latents(4000, rng=torch.Generator().manual_seed(1), prior=prior, temperature=temperature)
        distances, nearest = torch.cdist(latents, centres).min(1)
        return float((distances < 4).float().mean()), torch.bincount(nearest, minlength=3) / 4000

    inside, shares = near("mixture")
    assert inside > 0.99
    torch.testing.assert_close(shares, torch.tensor([0.5, 0.3, 0.2]), rtol=0, atol=0.03)
    assert near("gaussian")[0] < 0.5  # one Gaussian lies between them
    drawn = [model.sample_latents(9, rng=torch.Generator().manual_seed(1), prior="mixture") for _ in range(2)]
    assert torch.equal(*drawn)
    assert model.sample_latents(0, prior="mixture").shape == (0, 2)
    cold = model.sample_latents(500, prior="mixture", temperature=0.0)
    assert len(cold.unique(dim=0)) <= 10  # the means of the components


def test_a_mixture_needs_points_for_each_component():
    model, images = small()
    model.fit_latents(model.encode(images).detach())  # 8 of 3 dimensions: two components
    assert model.sample_latents(5, prior="mixture").isfinite().all()
    assert len(model._mixture.weights) == 2
    model.fit_latents(torch.ones(50, 3))  # latents that never change
    torch.testing.assert_close(model.sample_latents(5, prior="mixture"), torch.ones(5, 3), rtol=0, atol=1e-3)
