"""The family of latent-variable models: from a specification to its network, its objective, its results and its verbs."""

import json
import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image

from seewhy.core.errors import InputError
from seewhy.core.seeding import rng
from seewhy.data.image_files import to_pixels
from seewhy.models import VAE, Autoencoder, BoundOptions
from seewhy.models.family import Inputs, implementation_of
from seewhy.models.latent.family import IMPLEMENTATION
from seewhy.models.latent.likelihoods import LIKELIHOODS
from seewhy.models.latent.priors import PRIORS, fit_mixture
from seewhy.models.latent.traversal import normal_quantiles
from seewhy.reporting import Chart, image_grid
from seewhy.spec import family_of

VERBS = IMPLEMENTATION.verbs


@pytest.fixture
def vae(make_trained):
    return make_trained("vae", latent_dim=6, record={"order": [4, 0, 5, 1, 3, 2]})


@pytest.mark.parametrize(("name", "kind"), [("autoencoder", Autoencoder), ("vae", VAE)])
def test_the_specification_says_what_is_built(make_trained, name, kind):
    trained = make_trained(name, latent_dim=6, levels=2, conditional=True, architecture="conv")
    assert implementation_of(trained.spec) is IMPLEMENTATION
    assert isinstance(trained.model, kind)
    assert (trained.model.latent_dim, trained.model.classes, trained.model.levels.count) == (6, 10, 2)
    assert family_of(name).model(name).verbs <= set(VERBS)
    text = f"{name}, conv encoder and decoder, width 8, depth 1, latent dimension 6, 2 levels (stochastic), bernoulli"
    assert IMPLEMENTATION.announce(trained.spec) == [("network", f"{text}, class-conditional")]


@pytest.mark.parametrize("options", [{"beta": 3.0}, {"free_bits": 0.25}, {"samples": 4}])
def test_the_bound_is_the_specifications(make_trained, options):
    assert make_trained("vae", **options).model.bound == BoundOptions(**options)


def test_the_activation_has_its_options(make_trained, images):
    usual, steep = (make_trained("vae", activation={"name": "elu", "alpha": alpha}).model for alpha in (1.0, 3.0))
    assert not torch.equal(usual.posterior(images).mean, steep.posterior(images).mean)


def test_the_weight_of_the_kl_rises_over_its_share_of_the_steps(make_spec, digits):
    weights = []

    def network(images, labels, *, kl_weight):
        weights.append(kl_weight)
        return dict.fromkeys(("loss", "reconstruction", "kl"), torch.zeros(len(images)))

    for warmup, expected in ((0.5, [0.0, 0.5, 1.0, 1.0]), (0.0, [1.0] * 4)):
        objective = IMPLEMENTATION.objective(make_spec("vae", kl_warmup=warmup), None, digits.mean)
        assert objective.metrics == ("loss", "reconstruction", "kl")
        (update,) = objective.updates(0)
        weights.clear()
        for done in (0.0, 0.25, 0.5, 1.0):
            update.forward(network, Inputs(torch.zeros(2, 1, 8, 8), None, None, done))
        assert weights == expected
    assert IMPLEMENTATION.objective(make_spec("autoencoder"), None, digits.mean).metrics == ("loss",)


def test_the_loss_of_a_vae_is_reconstruction_and_kl(make_trained, images):
    trained = make_trained("vae", beta=2.0, kl_warmup=0.5)
    (update,) = IMPLEMENTATION.objective(trained.spec, trained.facts, None).updates(0)
    inputs = Inputs(images, torch.zeros(3, dtype=torch.int64), torch.zeros(3, dtype=torch.int64), done=0.25)
    result = update.criterion(update.forward(trained.model, inputs), inputs)
    expected = (result.sums["reconstruction"] + 0.5 * 2.0 * result.sums["kl"]) / 3
    assert result.loss.item() == pytest.approx(expected.item(), rel=1e-6)
    assert result.sums["loss"].item() == pytest.approx(3 * result.loss.item(), rel=1e-6)


def test_the_end_of_a_vaes_run_measures_its_latent(make_trained, digits, reader_of, tmp_path):
    trained = make_trained("vae", latent_dim=6, conditional=True)
    finished = IMPLEMENTATION.finish(trained, digits, tmp_path)
    assert list(finished.results) == ["val", "test", "latent"]
    assert finished.results["test"]["estimator"] == "importance-weighted bound, k = 100"
    latent, kl, order = finished.results["latent"], finished.record["kl"], finished.record["order"]
    assert list(latent) == ["n", "kl", "active_units", "dimensions", "mutual_information"]
    assert (latent["n"], latent["dimensions"]) == (70, 6)
    assert kl == sorted(kl, reverse=True)
    assert latent["kl"] == pytest.approx(sum(kl), rel=1e-3)
    assert sorted(order) == list(range(6))
    posterior = trained.model.posterior(digits.test.images(torch.arange(70)), digits.test.labels, rng(0, "describe"))
    assert kl == pytest.approx(posterior.kl().mean(0)[order].tolist())
    json.dumps([finished.results, finished.record], allow_nan=False)
    names = [sheet["name"] for sheet in finished.record["sheets"]]
    assert names == ["samples", "nearest training images", "reconstructions", "interpolations", "traversals"]
    (section,) = IMPLEMENTATION.report(reader_of(trained, finished)).sections
    assert any(isinstance(block, Chart) for block in section.blocks)
    with Image.open(tmp_path / "generated" / "traversals.png") as sheet:
        shown = np.asarray(sheet)
    ended = replace(trained, record=finished.record)
    label = int(digits.test.labels[0])  # the class is that of the first image
    assert np.array_equal(shown, image_grid(to_pixels(VERBS["traverse"](ended, label=label)), columns=9)[..., 0])


def test_the_end_of_an_autoencoders_run_fits_its_latents(make_trained, digits, reader_of, tmp_path):
    trained = make_trained("autoencoder", latent_dim=6)
    finished = IMPLEMENTATION.finish(trained, digits, tmp_path)
    latents = trained.model.encode(digits.train.images(torch.arange(300)), None)
    torch.testing.assert_close(trained.model.covariance, torch.cov(latents.T))
    assert "random latents" in [sheet["name"] for sheet in finished.record["sheets"]]
    assert IMPLEMENTATION.report(reader_of(trained, finished)).summary[0][0] == "Test nats given the latent"
    again = IMPLEMENTATION.build(trained.spec, trained.facts, digits.mean, digits.std)
    again.load_state_dict({**trained.model.state_dict(), "fitted": torch.tensor(False), "covariance": torch.eye(6)})
    IMPLEMENTATION.load(again, tmp_path)
    assert bool(again.fitted)
    assert torch.equal(again.covariance, trained.model.covariance)
    assert torch.equal(again.sample(4, rng=rng(0)), trained.model.sample(4, rng=rng(0)))


def test_latents_that_are_damaged_or_of_another_run_are_refused(make_trained, digits, tmp_path):
    IMPLEMENTATION.finish(make_trained("autoencoder", latent_dim=6), digits, tmp_path)
    with pytest.raises(InputError, match=r"latents\.safetensors: does not hold the latents of this run"):
        IMPLEMENTATION.load(make_trained("autoencoder", latent_dim=5).model, tmp_path)
    (tmp_path / "latents.safetensors").write_bytes(b"none")
    with pytest.raises(InputError, match=r"latents\.safetensors: is damaged"):
        IMPLEMENTATION.load(make_trained("autoencoder", latent_dim=6).model, tmp_path)
    IMPLEMENTATION.load(make_trained("vae").model, tmp_path)  # has none


def test_latents_lead_from_image_to_image(make_trained, vae, images):
    for trained in (make_trained("autoencoder"), vae):
        assert VERBS["reconstruct"](trained, images).shape == images.shape
        between = VERBS["interpolate"](trained, images[:1], images[1:2], steps=5)
        assert between.shape == (5, 1, 8, 8)
        ends = VERBS["interpolate"](trained, images[1:2], images[:1], steps=2)
        assert torch.equal(between[[-1, 0]], ends)
    plain = make_trained("autoencoder")
    there = VERBS["interpolate"](plain, images[:1], images[1:2], steps=2, path="linear")
    assert torch.equal(there, VERBS["reconstruct"](plain, images[:2]))


def test_images_without_a_label_are_of_the_class_by_which_they_are_likeliest(make_trained, images, monkeypatch):
    trained = make_trained("vae", conditional=True, record={"order": [1, 0]})
    truth = torch.tensor([7, 2, 5])

    def losses(self, images, labels):  # every image is likeliest by the class that it has here
        return {"loss": (labels != truth[: len(images)]).float() + 0.01 * labels}

    expected = VERBS["reconstruct"](trained, images, label=truth)
    monkeypatch.setattr(VAE, "forward", losses)
    state = torch.random.get_rng_state()
    assert torch.equal(VERBS["reconstruct"](trained, images), expected)
    assert torch.equal(torch.random.get_rng_state(), state)
    path = VERBS["interpolate"](trained, images[:1], images[1:2], steps=3, label=[7, 2])
    assert torch.equal(VERBS["interpolate"](trained, images[:1], images[1:2], steps=3), path)
    traversal = VERBS["traverse"](trained, images[:1], steps=2, label=7)
    assert torch.equal(VERBS["traverse"](trained, images[:1], steps=2), traversal)


def test_dimensions_are_traversed_by_their_kl(vae, images):
    assert VERBS["traverse"](vae, steps=3, dimensions=2).shape == (6, 1, 8, 8)
    latents = torch.zeros(6, 3, 6)
    for row, dimension in enumerate(vae.record["order"]):
        latents[row, :, dimension] = normal_quantiles(3)
    assert torch.equal(VERBS["traverse"](vae, steps=3), vae.model.decode_images(latents.flatten(0, 1)))
    moved = vae.model.posterior(images[:1], None, rng(2, "codes")).mean
    moved[0, 4] = normal_quantiles(1)[0]  # the first dimension in order
    traversal = VERBS["traverse"](vae, images[:1], steps=1, dimensions=1, seed=2)
    assert torch.equal(traversal, vae.model.decode_images(moved))


def test_more_samples_bound_the_likelihood_closer(vae, digits):
    loose, close = (VERBS["evaluate"](vae, digits.test, "test", digits.classes, samples=k) for k in (1, 200))
    assert close.figures.nats < loose.figures.nats
    assert close.figures.estimator == "importance-weighted bound, k = 200"
    usual = VERBS["evaluate"](vae, digits.test, "test", digits.classes)
    assert usual.figures.estimator == "importance-weighted bound, k = 100"


def test_a_density_has_no_levels(make_trained, digits):
    for likelihood, levels in (("gaussian", None), ("gaussian_learnt", None), ("logistic", 16)):
        trained = make_trained("autoencoder", likelihood=likelihood)
        figures = VERBS["evaluate"](trained, digits.test, "test", digits.classes).figures
        assert figures.levels == levels
        assert "an autoencoder has no likelihood" in figures.estimator


@pytest.mark.parametrize(
    ("verb", "given", "options", "message"),
    [
        ("interpolate", (1, 1), {"steps": 1}, "steps: must be at least 2, got 1"),
        ("interpolate", (1, 1), {"steps": 2.5}, r"steps: must be a whole number, got 2\.5"),
        ("interpolate", (1, 1), {"steps": 10**6}, "steps: must be at most 1,000, got 1000000"),
        ("interpolate", (1, 1), {"path": "straight"}, "path: 'straight' is not known"),
        ("interpolate", (2, 1), {}, "start: must be one image, got 2"),
        ("interpolate", (1, 3), {}, "end: must be one image, got 3"),
        ("interpolate", (1, 1), {"label": 3}, "label: .* is not class-conditional"),
        ("traverse", (2,), {}, "image: must be one image, or None for the mean of the prior, got 2"),
        ("traverse", (), {"dimensions": 0}, "dimensions: must be at least 1, got 0"),
        ("traverse", (), {"steps": 0}, "steps: must be at least 1, got 0"),
        ("traverse", (), {"steps": True}, "steps: must be a whole number, got True"),
        ("reconstruct", (1,), {"label": "seven"}, "label: .* is not class-conditional"),
    ],
)
def test_what_cannot_be_meant_is_refused(vae, images, verb, given, options, message):
    with pytest.raises(InputError, match=message):
        VERBS[verb](vae, *(images[:count] for count in given), **options)


def test_samples_are_for_a_vae(make_trained, vae, digits):
    for trained, samples, message in (
        (vae, 0, "samples: must be at least 1, got 0"),
        (make_trained("autoencoder"), 5, "samples: bound the likelihood of a vae, but .* is an autoencoder"),
    ):
        with pytest.raises(InputError, match=message):
            VERBS["evaluate"](trained, digits.test, "test", digits.classes, samples=samples)


def test_before_its_end_a_run_knows_no_order(make_trained):
    with pytest.raises(InputError, match="has not ended, so that the KL of its latent dimensions is not known"):
        VERBS["traverse"](make_trained("vae"))


def test_a_fitted_prior_is_chosen_by_name(make_trained, digits, images, tmp_path):
    trained = make_trained("autoencoder", latent_dim=6)
    for prior in ("gaussian", "mixture"):
        with pytest.raises(InputError, match=f"prior: '{prior}' is fitted when a run ends, and .* has not ended"):
            VERBS["sample"](trained, 4, prior=prior)
    assert torch.equal(VERBS["sample"](trained, 4), VERBS["sample"](trained, 4, prior="standard"))
    finished = IMPLEMENTATION.finish(trained, digits, tmp_path)
    samples = {prior: VERBS["sample"](trained, 4, prior=prior, seed=2) for prior in (None, *PRIORS)}
    assert torch.equal(samples[None], samples["gaussian"])
    assert not torch.equal(samples["gaussian"], samples["mixture"])
    latents = trained.model.encode(digits.train.images(torch.arange(300)), None)
    expected = fit_mixture(latents).sample(4, rng=rng(2, "sample"))
    assert torch.equal(samples["mixture"], trained.model.decode_images(expected))
    again = IMPLEMENTATION.build(trained.spec, trained.facts, digits.mean, digits.std)
    again.load_state_dict(trained.model.state_dict())
    IMPLEMENTATION.load(again, tmp_path)
    assert torch.equal(VERBS["sample"](replace(trained, model=again), 4, prior="mixture", seed=2), samples["mixture"])
    assert "a Gaussian fitted to those of training images" in finished.record["sheets"][0]["caption"]


def test_figures_say_how_images_were_sampled(make_trained, all_digits, digits, tmp_path):
    trained = make_trained("autoencoder", latent_dim=6)
    IMPLEMENTATION.finish(trained, digits, tmp_path)
    many = replace(digits, test=all_digits.test)
    usual, mixed = (VERBS["sample_quality"](trained, many, n=100, **more) for more in ({}, {"prior": "mixture"}))
    assert usual.sampling == "latents from a Gaussian fitted to those of training images, pixels at their means"
    assert mixed.sampling == "latents from a Gaussian mixture fitted to those of training images, pixels at their means"
    assert usual.generated != mixed.generated
    noisy = VERBS["sample_quality"](make_trained("vae"), many, n=100, pixel_noise=True)
    assert noisy.sampling == "latents from N(0, I), pixels sampled from p(x | z)"


@pytest.mark.parametrize("name", ["vae", "autoencoder"])
@pytest.mark.parametrize("likelihood", LIKELIHOODS.names())
def test_pixel_noise_is_the_likelihoods(make_trained, name, likelihood):
    trained = make_trained(name, likelihood=likelihood, levels=2 if likelihood == "bernoulli" else 16)
    model = trained.model
    means, noisy = (VERBS["sample"](trained, 4, seed=1, pixel_noise=noise) for noise in (False, True))
    source = rng(1, "sample")
    latents = torch.randn(4, model.latent_dim, generator=source)
    with torch.no_grad():
        maps = model.decode(latents)
    values = model.networks.likelihood.sample(maps, source)
    assert torch.equal(noisy, model.levels.images(values))
    assert not torch.equal(noisy, means)
    assert torch.equal(means, VERBS["sample"](trained, 4, seed=1))
    levels = set(model.levels.images(torch.arange(model.levels.count)).tolist())
    assert set(noisy.unique().tolist()) <= levels  # stored values, where means lie between them


def test_latents_are_decoded_as_images_are_encoded(make_trained, vae, images):
    plain = make_trained("autoencoder", latent_dim=6)
    for trained in (plain, vae):
        latents = VERBS["encode"](trained, images)
        assert latents.shape == (3, 6)
        assert latents.dtype == torch.float32
        decoded = VERBS["decode"](trained, latents)
        assert torch.equal(decoded, VERBS["decode"](trained, images=images))
        assert torch.equal(decoded, VERBS["decode"](trained, latents.numpy()))
        assert torch.equal(decoded[:1], VERBS["decode"](trained, latents[0].tolist()))
    assert torch.equal(VERBS["decode"](plain, images=images), VERBS["reconstruct"](plain, images))
    assert torch.equal(VERBS["encode"](vae, images), vae.model.posterior(images).mean)


def test_a_latent_dimension_is_set_by_hand(make_trained, vae, images):
    latents = VERBS["encode"](vae, images)
    kept = latents.clone()
    changed = VERBS["decode"](vae, latents, values={3: -2.5, 0: 1})
    assert torch.equal(latents, kept)  # the caller's own
    latents[:, 3], latents[:, 0] = -2.5, 1.0
    assert torch.equal(changed, VERBS["decode"](vae, latents))
    assert torch.equal(VERBS["decode"](vae, images=images, values={3: -2.5, 0: 1}), changed)
    middle = torch.zeros(1, 6)
    middle[0, 5] = 2.0
    assert torch.equal(VERBS["decode"](vae, values={5: 2.0}), vae.model.decode_images(middle))
    plain = make_trained("autoencoder", latent_dim=6)
    plain.model.fit_latents(torch.randn(50, 6, generator=rng(0)) + 4.0)
    assert torch.equal(VERBS["decode"](plain), plain.model.decode_images(plain.model.mean[None]))
    noisy = VERBS["decode"](vae, kept, pixel_noise=True)
    assert not torch.equal(noisy, VERBS["decode"](vae, kept))


def test_decoded_images_are_of_the_class_by_which_they_are_likeliest(make_trained, images, monkeypatch):
    trained, truth = make_trained("vae", conditional=True), torch.tensor([7, 2, 5])

    def losses(self, images, labels):
        return {"loss": (labels != truth[: len(images)]).float()}

    expected = VERBS["decode"](trained, VERBS["encode"](trained, images, label=truth), label=truth)
    in_turn = VERBS["decode"](trained, torch.zeros(3, trained.model.latent_dim))
    assert torch.equal(in_turn, trained.model.decode_images(torch.zeros(3, trained.model.latent_dim), torch.arange(3)))
    monkeypatch.setattr(VAE, "forward", losses)
    assert torch.equal(VERBS["decode"](trained, images=images), expected)


@pytest.mark.parametrize(
    ("verb", "options", "message"),
    [
        ("sample", {"n": 2, "prior": "gaussian"}, "prior: is chosen for an autoencoder, .* is a vae, whose prior is N"),
        ("sample", {"n": 2, "pixel_noise": "yes"}, "pixel_noise: must be True or False, got 'yes'"),
        (
            "decode",
            {"latents": torch.zeros(2, 5)},
            r"latents: must be finite numbers \(N, 6\), N at least 1, got \(2, 5\)",
        ),
        ("decode", {"latents": [math.nan] * 6}, "latents: must be finite"),
        ("decode", {"latents": "middle"}, r"latents: must be numbers \(N, 6\)"),
        ("decode", {"values": {6: 1.0}}, "values: a latent dimension: must be at most 5, got 6"),
        ("decode", {"values": {-1: 1.0}}, "values: a latent dimension: must be at least 0, got -1"),
        ("decode", {"values": {1.5: 1.0}}, "values: a latent dimension: must be a whole number"),
        ("decode", {"values": {1: math.inf}}, "values: dimension 1: must be a finite number, got inf"),
        ("decode", {"latents": torch.zeros(1, 6), "images": torch.zeros(1, 1, 8, 8, dtype=torch.uint8)}, "both say"),
    ],
)
def test_what_cannot_be_decoded_is_refused(vae, verb, options, message):
    with pytest.raises(InputError, match=message):
        VERBS[verb](vae, **options)


def test_an_unknown_prior_is_refused(make_trained):
    with pytest.raises(InputError, match=r"prior: 'mixtures' is not known; .* did you mean 'mixture'"):
        VERBS["sample"](make_trained("autoencoder"), 2, prior="mixtures")
