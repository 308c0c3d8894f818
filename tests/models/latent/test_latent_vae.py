"""The variational autoencoder against closed forms, quadrature and finite differences."""

import math

import pytest
import torch
from torch import distributions as twins
from torch import nn

from seewhy.core.errors import InputError
from seewhy.models.intensity import IntensityLevels
from seewhy.models.latent import vae
from seewhy.models.latent.bounds import Posterior
from seewhy.models.latent.design import LatentDesign
from seewhy.models.latent.vae import VAE, BoundOptions

SHAPE = (1, 2, 3)


class Linear(nn.Module):
    """An encoder or decoder that is a linear map, with outputs of any shape."""

    def __init__(self, inner, shape, scale=1.0):
        super().__init__()
        self.shape, self.layer = shape, nn.Linear(inner, math.prod(shape))
        nn.init.normal_(self.layer.weight, std=scale)
        nn.init.normal_(self.layer.bias, std=0.5)

    def forward(self, x, labels=None):
        start = -3 if x.ndim == 4 else -1  # images, or latents
        return self.layer(x.flatten(start)).unflatten(-1, self.shape)


def linear_gaussian(seed=0, dimensions=2):
    """A VAE whose log p(x) and true posterior are known: x ~ N(W z + b, I)."""
    torch.manual_seed(seed)
    model = VAE(
        SHAPE,
        LatentDesign(latent_dim=dimensions, levels=IntensityLevels(2, "threshold"), likelihood="gaussian"),
    )
    model.networks.encoder = Linear(6, (2 * dimensions,), 0.3)
    model.networks.decoder = Linear(dimensions, SHAPE, 0.8)
    model = model.double()
    layer = model.networks.decoder.layer
    weight, bias = layer.weight.detach(), layer.bias.detach()
    covariance = torch.linalg.inv(torch.eye(dimensions) + weight.T @ weight)
    evidence = twins.MultivariateNormal(bias, weight @ weight.T + torch.eye(6))

    def posterior(values):
        return twins.MultivariateNormal((values.flatten(1).double() - bias) @ weight @ covariance, covariance)

    return model, lambda values: evidence.log_prob(values.flatten(1).double()), posterior


def small(n=8, seed=0, *, bound=None, classes=None, **options):
    torch.manual_seed(seed)
    design = LatentDesign(**{"latent_dim": 3, "width": 7} | options)
    model = VAE(SHAPE, design, classes=classes, bound=bound)
    images = torch.randint(0, 256, (n, *SHAPE), dtype=torch.uint8)
    return model, images


def test_evidence_is_bound_plus_kl_to_the_true_posterior(monkeypatch):
    """C27. A quadratic's mean over 2 D points at +-sqrt(D) deviations is its mean under the Gaussian, exactly."""
    dimensions = 2
    model, evidence, posterior = linear_gaussian(dimensions=dimensions)
    model.bound = BoundOptions(samples=2 * dimensions, importance=False)
    values = torch.randint(0, 2, (5, *SHAPE))
    points = math.sqrt(dimensions) * torch.cat([torch.eye(dimensions), -torch.eye(dimensions)]).double()
    monkeypatch.setattr(torch, "randn", lambda shape, **_: points[:, None].expand(shape))
    terms = model.terms(values)
    q = model.encode(values)
    own = twins.MultivariateNormal(q.mean, scale_tril=torch.diag_embed(q.log_scale.exp()))
    gap = twins.kl_divergence(own, posterior(values))
    assert gap.min() > 0.01
    torch.testing.assert_close(terms.bound + gap, evidence(values), rtol=0, atol=1e-6)
    torch.testing.assert_close(-terms.loss, terms.bound)


def test_importance_weighted_bound_rises_to_the_evidence():
    model, evidence, posterior = linear_gaussian()
    image = (torch.randint(0, 2, (1, *SHAPE)) * 255).to(torch.uint8)
    truth = evidence(image // 255).item()
    q = model.posterior(image)
    own = twins.MultivariateNormal(q.mean, scale_tril=torch.diag_embed(q.log_scale.exp()))
    plain = truth - twins.kl_divergence(own, posterior(image // 255)).item()
    rng = torch.Generator().manual_seed(0)
    mean_bounds = {}
    for samples, times in ((1, 20000), (2, 10000), (10, 2000), (100, 400), (3000, 20)):
        bounds = model.log_likelihood(image.expand(times, *SHAPE), samples=samples, rng=rng)
        error = bounds.std().item() / math.sqrt(times)
        mean_bounds[samples] = bounds.mean().item()
        assert mean_bounds[samples] < truth + 3 * error
        if samples == 1:
            assert mean_bounds[1] == pytest.approx(plain, abs=4 * error)
    assert list(mean_bounds.values()) == sorted(mean_bounds.values())
    assert mean_bounds[3000] == pytest.approx(truth, abs=0.06)
    assert truth - mean_bounds[1] > 0.1


def test_evidence_of_images_is_that_of_quadrature_and_sums_to_1():
    model, _ = small(latent_dim=1, levels=IntensityLevels(2, "threshold"))
    for layer in (model.networks.decoder.body[0], model.networks.decoder.body[-1]):
        nn.init.normal_(layer.weight, std=1.5)
    images = torch.tensor([[int(bit) for bit in f"{number:06b}"] for number in range(64)]).view(64, *SHAPE)
    grid = torch.linspace(-8, 8, 2001).view(-1, 1, 1)
    with torch.no_grad():
        log_likelihood = model.networks.likelihood.log_likelihood(model.decode(grid), images)
    probabilities = (
        torch.exp(log_likelihood + twins.Normal(0.0, 1.0).log_prob(grid[..., 0])) * (grid[1] - grid[0]).item()
    ).sum(0)
    assert probabilities.sum().item() == pytest.approx(1.0, abs=1e-4)
    nn.init.zeros_(model.networks.encoder.head.weight)  # latents come from the prior, so that weights are bounded by 1
    own = model.log_likelihood((images * 255).to(torch.uint8), samples=3000, rng=torch.Generator().manual_seed(0)).exp()
    torch.testing.assert_close(own, probabilities, rtol=0, atol=0.015)
    assert own.sum().item() == pytest.approx(1.0, abs=0.02)
    assert probabilities.max() > 4 * probabilities.min()


BOUNDS = [
    BoundOptions(),
    BoundOptions(beta=0.5, free_bits=0.05),
    BoundOptions(samples=3, importance=False),
]


@pytest.mark.parametrize("bound", BOUNDS, ids=str)
def test_gradients_are_those_of_finite_differences(bound):
    model, images = small(bound=bound, width=4, depth=1, levels=IntensityLevels(2, "threshold"))
    model = model.double()
    values = model.networks.values(images, None)

    def value():
        torch.manual_seed(7)
        return model.terms(values, kl_weight=0.7).loss.mean()

    parameters = list(model.parameters())
    gradients = torch.autograd.grad(value(), parameters)
    for parameter, gradient in zip(parameters, gradients, strict=True):
        direction = torch.randn_like(parameter)
        sides = []
        for step in (1e-5, -2e-5):
            parameter.data += step * direction
            sides.append(value().item())
        parameter.data += 1e-5 * direction
        slope = (gradient * direction).sum().item()
        assert slope == pytest.approx((sides[0] - sides[1]) / 2e-5, rel=1e-5, abs=1e-8)


def test_terms_are_those_of_torch_distributions():
    model, images = small(bound=BoundOptions(samples=4, beta=0.5))
    values = IntensityLevels(2, "threshold").values(images)
    q = model.encode(values)
    torch.manual_seed(3)
    terms = model.terms(values, kl_weight=0.6)
    torch.manual_seed(3)
    latents, _ = q.sample(4)
    likelihood = twins.Bernoulli(logits=model.decode(latents)).log_prob(values.float()).sum((2, 3, 4))
    prior = twins.Normal(0.0, 1.0).log_prob(latents).sum(-1)
    own = twins.Normal(q.mean, q.log_scale.exp()).log_prob(latents).sum(-1)
    weighted = torch.logsumexp(likelihood + 0.3 * (prior - own), 0) - math.log(4)
    torch.testing.assert_close(terms.loss, -weighted, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(terms.log_likelihood, likelihood.mean(0), rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(
        terms.kl, twins.kl_divergence(twins.Normal(q.mean, q.log_scale.exp()), twins.Normal(0.0, 1.0))
    )


def test_beta_free_bits_and_warm_up():
    terms_by_name = {}
    for name, bound, weight in (
        ("plain", BoundOptions(), 1.0),
        ("warm", BoundOptions(), 0.25),
        ("beta", BoundOptions(beta=4.0), 0.25),
        ("floor", BoundOptions(free_bits=1.0), 1.0),
    ):
        model, images = small(bound=bound)
        torch.manual_seed(1)
        terms_by_name[name] = model.loss(images, kl_weight=weight)
    plain = terms_by_name["plain"]
    kl = plain.kl.sum(1)
    torch.testing.assert_close(plain.loss, kl - plain.log_likelihood)
    torch.testing.assert_close(terms_by_name["warm"].loss, 0.25 * kl - plain.log_likelihood)
    torch.testing.assert_close(terms_by_name["beta"].loss, plain.loss)
    floored = plain.kl.mean(0).clamp_min(1.0).sum() - plain.log_likelihood.mean()
    torch.testing.assert_close(terms_by_name["floor"].loss.mean(), floored)
    for terms in terms_by_name.values():
        torch.testing.assert_close(terms.bound, plain.bound)


def test_forward_gives_the_terms_for_each_image():
    model, images = small()
    torch.manual_seed(1)
    outputs = model(images, kl_weight=0.5)
    torch.manual_seed(1)
    terms = model.loss(images, kl_weight=0.5)
    torch.testing.assert_close(outputs["loss"], terms.loss)
    torch.testing.assert_close(outputs["bound"], terms.bound)
    torch.testing.assert_close(outputs["reconstruction"] + outputs["kl"], -outputs["bound"])
    assert {name: part.requires_grad for name, part in outputs.items()} == {
        "loss": True,
        "bound": False,
        "reconstruction": False,
        "kl": False,
    }
    assert all(part.shape == (8,) for part in outputs.values())


def test_equal_generators_give_equal_figures_and_images():
    model, images = small()

    def rng():
        return torch.Generator().manual_seed(4)

    for act in (
        lambda g: model.log_likelihood(images, samples=7, rng=g),
        lambda g: model.sample(5, rng=g),
        lambda g: model.sample(5, rng=g, pixel_noise=True),
        lambda g: model.reconstruct(images, rng=g),
        lambda g: model.posterior(images, rng=g).mean,
        lambda g: model.latent_use(images, rng=g).information.mutual,
    ):
        first = torch.as_tensor(act(rng()))
        torch.manual_seed(99)
        assert torch.equal(first, torch.as_tensor(act(rng())))
    torch.manual_seed(6)
    state = torch.get_rng_state()
    model.log_likelihood(images, samples=3, rng=rng())
    assert torch.equal(state, torch.get_rng_state())


def test_memory_does_not_grow_with_samples(monkeypatch):
    model, images = small()
    rows = []
    model.networks.decoder.register_forward_hook(lambda _, inputs, __: rows.append(inputs[0].shape[:-1].numel()))
    monkeypatch.setattr(vae, "ROWS", 20)
    bounds = model.log_likelihood(images, samples=50)
    assert bounds.shape == (8,)
    assert max(rows) == 20
    assert sum(rows) == 8 * 50
    rows.clear()
    assert model.log_likelihood(images, samples=5).shape == (8,)
    assert rows == [20, 20]


def test_samples_are_images():
    model, images = small()
    samples = model.sample(50)
    assert samples.dtype == torch.uint8
    assert samples.shape == (50, *SHAPE)
    assert not torch.equal(samples[0], samples[1])
    assert (model.sample(3, temperature=0.0) == model.sample(3, temperature=0.0)[:1]).all()
    assert set(model.sample(50, pixel_noise=True).flatten().tolist()) == {0, 255}
    assert model.sample(0).shape == (0, *SHAPE)
    assert model.reconstruct(images).shape == images.shape


def test_many_latents_are_decoded_in_chunks(monkeypatch):
    model, _ = small(width=8, depth=1, classes=2)
    labels, sizes = torch.arange(7) % 2, []
    plain = model.networks.decode
    samples = model.sample(7, labels, rng=torch.Generator().manual_seed(0))
    monkeypatch.setattr("seewhy.models.latent.encoder_decoder.DECODED", 3)
    monkeypatch.setattr(
        model.networks, "decode", lambda latents, labels: sizes.append(len(latents)) or plain(latents, labels)
    )
    assert torch.equal(model.sample(7, labels, rng=torch.Generator().manual_seed(0)), samples)
    assert sizes == [3, 3, 1]
    assert model.sample(7, labels, pixel_noise=True).shape == (7, *SHAPE)


def test_prepare_starts_every_value_at_its_mean():
    model, images = small(levels=IntensityLevels(256), likelihood="logistic")
    model.prepare(images)
    mean = images.double().mean(0).float()
    torch.testing.assert_close(model.networks.centre, mean)
    torch.testing.assert_close(model.networks.decoder.bias[:1], mean * 2 / 255 - 1)
    model, images = small()
    model.prepare(images)
    mean = images.double().mean(0).float()
    torch.testing.assert_close(model.networks.centre, mean / 255)
    torch.testing.assert_close(torch.sigmoid(model.networks.decoder.bias), (mean / 255).clamp(1e-3, 1 - 1e-3))
    model, images = small(levels=IntensityLevels(2, "threshold"))
    model.prepare(images)
    torch.testing.assert_close(model.networks.centre, (images >= 128).float().mean(0))


@pytest.mark.parametrize("architecture", ["dense", "conv"])
def test_class_conditioning(architecture):
    model = VAE((1, 4, 4), LatentDesign(latent_dim=2, architecture=architecture, width=6), classes=3)
    images, labels = torch.randint(0, 256, (6, 1, 4, 4), dtype=torch.uint8), torch.arange(6) % 3
    assert model(images, labels)["loss"].shape == (6,)
    by_class = [model.sample(4, torch.full((4,), label), rng=torch.Generator().manual_seed(0)) for label in (0, 1)]
    assert not torch.equal(*by_class)
    for samples in (5, 2000):
        assert model.log_likelihood(images, labels, samples=samples).isfinite().all()
    assert model.reconstruct(images, labels).shape == images.shape
    with pytest.raises(InputError, match="labels: must be given"):
        model(images)
    with pytest.raises(InputError, match="from 0 to 2"):
        model(images, labels + 1)
    with pytest.raises(InputError, match="one for each image"):
        model.sample(3, labels)


def test_bfloat16_inside_changes_little():
    model, images = small(n=32, levels=IntensityLevels(2, "threshold"))
    rng = torch.Generator().manual_seed(0)
    exact = model.log_likelihood(images, samples=200, rng=rng)
    with torch.autocast("cpu", torch.bfloat16):
        rough = model.log_likelihood(images, samples=200, rng=rng.manual_seed(0))
        loss = model(images)["loss"]
    assert rough.dtype == loss.dtype == torch.float32
    assert not torch.equal(exact, rough)
    assert (exact - rough).mean().abs() < 0.02
    loss.sum().backward()
    assert all(part.grad is not None and part.grad.isfinite().all() for part in model.parameters())


def test_weights_carry_over():
    model, images = small()
    model.prepare(images)
    other, _ = small(seed=1)
    other.load_state_dict(model.state_dict())
    bounds = [each.log_likelihood(images, samples=5, rng=torch.Generator().manual_seed(0)) for each in (model, other)]
    assert torch.equal(*bounds)


def test_latent_use_counts_what_the_latent_encodes(monkeypatch):
    model, images = small(n=100)
    means = torch.zeros(100, 3)
    means[:, 1] = torch.linspace(-40, 40, 100)
    monkeypatch.setattr(model, "encode", lambda values, labels: Posterior(means, torch.full_like(means, -4.0)))
    use = model.latent_use(images, rng=torch.Generator().manual_seed(0))
    assert use.active.tolist() == [False, True, False]
    assert use.kl.argmax() == 1
    assert use.information.mutual == pytest.approx(math.log(100), abs=1e-6)


def test_it_learns_four_patterns():
    """Four images of 16 pixels, equally often: log p(x) = -log 4 is the best there is; independent pixels give -16 log 2."""
    torch.manual_seed(0)
    images = torch.zeros(4, 1, 4, 4, dtype=torch.uint8)
    images[0, :, :2], images[1, :, 2:], images[2, :, :, :2], images[3, :, :, 2:] = 255, 255, 255, 255
    model = VAE((1, 4, 4), LatentDesign(latent_dim=2, width=32))
    model.prepare(images)
    optimizer = torch.optim.Adam(model.parameters(), lr=5e-3)
    batch = images.repeat(16, 1, 1, 1)
    for _ in range(400):
        optimizer.zero_grad()
        model(batch)["loss"].mean().backward()
        optimizer.step()
    bounds = model.log_likelihood(images, samples=2000, rng=torch.Generator().manual_seed(0))
    assert -2.2 < bounds.mean().item() < -math.log(4) + 0.05
    samples = model.sample(200, rng=torch.Generator().manual_seed(0))
    far = (samples[:, None].int() - images.int()).abs().sum((2, 3, 4)).amin(1)
    assert (far < 500).double().mean() > 0.8


@pytest.mark.parametrize(
    ("act", "message"),
    [
        (lambda: BoundOptions(beta=-1.0), "beta: must be at least 0"),
        (lambda: BoundOptions(free_bits=float("nan")), "free_bits: must be at least 0"),
        (lambda: BoundOptions(samples=0), "samples: must be at least 1"),
        (lambda: BoundOptions(samples=5, free_bits=0.1), "has no KL term"),
        (lambda: VAE((28, 28)), "shape: must be"),
        (lambda: VAE(SHAPE, classes=0), "classes: must be at least 1, or None, got 0"),
        (lambda: LatentDesign(latent_dim=0), "latent_dim: must be at least 1"),
        (lambda: LatentDesign(likelihood="logistik"), "did you mean 'logistic'"),
        (lambda: LatentDesign(levels=IntensityLevels(8)), "choose logistic"),
        (lambda: VAE(SHAPE, LatentDesign(architecture="conv")), "choose dense"),
        (lambda: small()[0](torch.zeros(2, 1, 3, 2, dtype=torch.uint8)), "model's shape"),
        (lambda: small()[0](torch.zeros(2, *SHAPE)), "as images are stored"),
        (lambda: small()[0].prepare(torch.zeros(0, *SHAPE, dtype=torch.uint8)), "at least one image"),
        (lambda: small()[0].log_likelihood(small()[1], samples=0), "samples: must be at least 1"),
        (lambda: small()[0].sample(-1), "n: must be at least 0"),
        (lambda: small()[0].sample(2, temperature=-0.1), "temperature: must be at least 0"),
        (lambda: small()[0].decode_images(torch.zeros(2, 4)), "latents: must be"),
        (lambda: small()[0].sample(1, torch.zeros(1, dtype=torch.int64)), "not class-conditional"),
    ],
)
def test_bad_input_is_named(act, message):
    with pytest.raises(InputError, match=message):
        act()
