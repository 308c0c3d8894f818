"""Generative models by the same verbs as classifiers: train, go on exactly, evaluate, sample, complete; what cannot be is refused."""

import json
import math

import numpy as np
import pytest
import torch
from PIL import Image

from run_cases import assert_same_bits, raise_at
from seewhy import api
from seewhy.core.errors import InputError
from seewhy.data.image_files import to_pixels
from seewhy.models.generative import frame_epochs
from seewhy.models.latent.traversal import normal_quantiles
from seewhy.reporting import image_grid

SMALL = {"width": 8, "depth": 1, "epochs": 2, "lr": 0.01, "precision": "fp32", "train.threads": 1}
OPTIONS = {
    "pixelcnn": {"model.kernel_size": 5},
    "gated_pixelcnn": {"model.conditional": True},
    "row_lstm": {},
    "diagonal_bilstm": {"model.levels": 2},
    "autoencoder": {"model.latent_dim": 6},
    "vae": {"model.latent_dim": 6, "model.conditional": True, "model.kl_warmup": 0.5},
    "gan": {"model.critic_steps": 2},
}
AUTOREGRESSIVE = ("pixelcnn", "gated_pixelcnn", "row_lstm", "diagonal_bilstm")


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """A small run of each model, trained when it is first asked for."""
    home, made = tmp_path_factory.mktemp("generative"), {}

    def get(name):
        if name not in made:
            made[name] = api.train("digits", out=home / name, model=name, **SMALL, **OPTIONS[name])
        return made[name]

    return get


@pytest.fixture(scope="module")
def classifier(tmp_path_factory):
    """A run whose features are compared."""
    folder = tmp_path_factory.mktemp("classifier") / "classifier"
    return api.train("digits", out=folder, model="mlp", epochs=3, precision="fp32", **{"train.threads": 1})


@pytest.mark.parametrize("name", OPTIONS)
def test_it_learns_and_is_measured(runs, name):
    run = runs(name)
    page = (run.folder / "report.html").read_text(encoding="utf-8")
    assert "Through training" in page
    assert "samples" in page
    assert "has not ended" not in page
    if name == "gan":
        assert run.metrics[-1]["train_generator_loss"] > 0
        assert "to compare them with real ones: seewhy evaluate" in page
        with pytest.raises(InputError, match="is a run of gan, which cannot be measured on a split; that is for mlp"):
            run.evaluate()
        return
    losses = [row["train_loss"] for row in run.metrics]
    assert losses[-1] < losses[0]
    if name == "pixelcnn":
        assert run.model.net.blocks[0].inner.kernel == (5, 5)
    assert run.results["test"]["nats"] < 64 * math.log(run.spec.model.levels)  # better than every level alike
    figures = run.evaluate()
    assert figures.nats == pytest.approx(run.results["test"]["nats"], abs=1e-4)
    assert figures.interval[0] < figures.nats < figures.interval[1]
    assert figures.bits_per_dimension == pytest.approx(figures.nats / (64 * math.log(2)))
    with np.load(run.folder / "predictions" / "test.npz") as kept:
        assert -kept["log_likelihood"].mean() == pytest.approx(figures.nats, abs=1e-4)
        assert len(kept["names"]) == figures.n


@pytest.mark.parametrize("name", OPTIONS)
def test_equal_seeds_give_equal_images(runs, name):
    run = runs(name)
    first, again, other = run.sample(6, seed=3), run.sample(6, seed=3), run.sample(6, seed=4)
    assert first.shape == (6, 1, 8, 8)
    assert first.dtype == torch.uint8
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


@pytest.mark.parametrize("name", AUTOREGRESSIVE)
def test_given_pixels_are_kept_exactly(runs, name):
    run = runs(name)
    images = torch.randint(0, 256, (3, 1, 8, 8), dtype=torch.uint8)
    completed = run.complete(images, rows=5, seed=1)
    assert torch.equal(completed[:, :, :5], images[:, :, :5])
    assert not torch.equal(completed[:, :, 5:], images[:, :, 5:])
    given = torch.rand(8, 8) < 0.5
    completed = run.complete(images, given=given)
    assert torch.equal(completed[:, :, given], images[:, :, given])


@pytest.mark.parametrize("name", ["pixelcnn", "row_lstm", "autoencoder", "vae", "gan"])
def test_interrupted_it_ends_with_the_same_bits(runs, name, tmp_path):
    folder = tmp_path / "run"
    options = {**SMALL, **OPTIONS[name], "train.checkpoint_seconds": 0.0}
    with pytest.raises(KeyboardInterrupt):
        api.train("digits", out=folder, model=name, observers=[raise_at(7)], **options)
    run, reference = api.resume(folder), runs(name)
    assert_same_bits(folder, reference.folder)
    assert run.results == reference.results
    assert torch.equal(run.sample(4), reference.sample(4))
    steps = [event["step"] for event in run.events if event["event"] == "step_ended"]
    assert steps == list(range(1, steps[-1] + 1))
    frames = sorted(path.name for path in (folder / "frames").iterdir())
    assert frames == [f"epoch-{epoch:04d}.png" for epoch in frame_epochs(2)]
    for frame in frames:
        assert (folder / "frames" / frame).read_bytes() == (reference.folder / "frames" / frame).read_bytes()


def test_a_class_can_be_asked_for(runs):
    run = runs("gated_pixelcnn")
    assert torch.equal(run.sample(3, label="7", seed=0), run.sample(3, label=7, seed=0))
    assert not torch.equal(run.sample(24, label=7, seed=0), run.sample(24, label=1, seed=0))
    assert torch.equal(run.sample(10, seed=0), run.sample(10, label=list(range(10)), seed=0))


def test_classes_are_asked_for_by_numbers_of_any_kind(runs):
    run = runs("gated_pixelcnn")
    expected = run.sample(2, label=[7, 1])
    for label in (torch.tensor([7, 1]), np.array([7, 1]), (np.int64(7), torch.tensor(1)), ["7", 1]):
        assert torch.equal(run.sample(2, label=label), expected)
    assert torch.equal(run.sample(2, label=np.int64(7)), run.sample(2, label=7))
    assert torch.equal(run.sample(2, label=torch.tensor(7)), run.sample(2, label=7))


def test_latents_lead_from_image_to_image(runs):
    images = torch.randint(0, 256, (2, 1, 8, 8), dtype=torch.uint8)
    for name, options in (("autoencoder", {}), ("vae", {"label": 3})):
        run = runs(name)
        assert run.reconstruct(images, **options).shape == images.shape
        path = run.interpolate(images[0], images[1], steps=5, **options)
        assert path.shape == (5, 1, 8, 8)
        assert not torch.equal(path[0], path[-1])
    run = runs("autoencoder")
    assert torch.equal(run.interpolate(images[0], images[1], steps=2)[0], run.reconstruct(images)[0])


def test_an_image_without_a_label_is_of_the_class_by_which_it_is_likeliest(runs, monkeypatch):
    run = runs("vae")
    images, classes = torch.randint(0, 256, (4, 1, 8, 8), dtype=torch.uint8), torch.tensor([7, 2, 2, 5])

    def losses(images, labels):  # every image is likeliest by its class here
        return {"loss": (labels != classes[: len(images)]).float() + 0.01 * labels}

    expected = run.reconstruct(images, label=classes)
    monkeypatch.setattr(type(run.model), "forward", lambda self, *given: losses(*given))
    assert torch.equal(run.reconstruct(images), expected)
    path = run.interpolate(images[0], images[1], steps=3, label=[7, 2])
    assert torch.equal(run.interpolate(images[0], images[1], steps=3), path)
    assert torch.equal(run.traverse(images[0], steps=2), run.traverse(images[0], steps=2, label=7))


def test_dimensions_are_traversed_by_their_kl(runs):
    run = runs("vae")
    record = run.record
    assert record["kl"] == sorted(record["kl"], reverse=True)
    assert run.results["latent"]["kl"] == pytest.approx(sum(record["kl"]), rel=1e-3)
    assert run.traverse(steps=3, dimensions=2, label=0).shape == (6, 1, 8, 8)
    assert record["order"] != sorted(record["order"])
    latents = torch.zeros(6, 3, 6)
    for row, dimension in enumerate(record["order"]):
        latents[row, :, dimension] = normal_quantiles(3)
    with torch.no_grad():
        expected = run.model.decode_images(latents.flatten(0, 1), torch.zeros(18, dtype=torch.int64))
    assert torch.equal(run.traverse(steps=3, label=0), expected)
    with Image.open(run.folder / "generated" / "traversals.png") as sheet:
        shown = np.asarray(sheet)
    sheets = [image_grid(to_pixels(run.traverse(label=label)), columns=9)[..., 0] for label in range(10)]
    assert any(np.array_equal(shown, each) for each in sheets)  # the class is that of the first image
    start = torch.zeros(1, 8, 8, dtype=torch.uint8)
    assert run.traverse(start, steps=3, dimensions=1, label=0).shape == (3, 1, 8, 8)


def test_an_autoencoder_samples_from_the_latents_of_its_images(runs):
    run = runs("autoencoder")
    assert bool(run.model.fitted)
    covariance = run.model.covariance
    torch.testing.assert_close(covariance, covariance.T)
    assert not torch.allclose(covariance, torch.eye(6))


def test_more_samples_bound_the_likelihood_closer(runs):
    run = runs("vae")
    loose, close = run.evaluate(samples=1), run.evaluate(samples=200)
    assert close.nats < loose.nats
    assert "k = 200" in close.estimator


def test_generated_images_are_compared_with_real_ones(runs, classifier):
    run = runs("gan")
    quality = run.sample_quality(extractor=classifier, n=120)
    assert "features" in quality.generated.frechet.extractor
    assert quality.generated.frechet.n_generated == 120
    assert quality.reference.frechet.fid < quality.generated.frechet.fid  # two epochs are worse than life
    assert 0 <= quality.classes.covered <= 10
    assert run.sample_quality(extractor=classifier, n=120).to_json() == quality.to_json()
    assert run.sample_quality(extractor=classifier.folder, n=120).to_json() == quality.to_json()
    pixels = runs("vae").sample_quality(n=100)
    assert pixels.classes is None
    assert pixels.generated.frechet.extractor.startswith("pixels")
    for call, message in (
        (lambda: run.sample_quality(n=50), "n: must be at least 100"),
        (lambda: run.sample_quality(n=100.5), r"n: must be a whole number, got 100\.5"),
        (lambda: run.sample_quality(extractor=run, n=100), "is no classifier"),
        (lambda: run.sample_quality(extractor="nowhere", n=100), "is not a run folder"),
        (
            lambda: classifier.sample_quality(n=100),
            "is a run of mlp, which cannot have the quality of its samples measured",
        ),
    ):
        with pytest.raises(InputError, match=message):
            call()


def test_an_extractor_of_other_classes_counts_none(runs, tmp_path):
    x = np.random.default_rng(0).integers(0, 256, (200, 8, 8), dtype=np.uint8)
    np.savez(tmp_path / "other.npz", images=x, labels=np.arange(200) % 10 + 100)
    extractor = api.train(
        tmp_path / "other.npz", out=tmp_path / "classifier", model="mlp", epochs=1, **{"train.threads": 1}
    )
    quality = runs("gan").sample_quality(extractor=extractor, n=100)
    assert quality.classes is None
    assert quality.generated.frechet.extractor.startswith("mlp of run classifier")


def test_an_extractor_of_other_images_is_refused(runs, shapes_run):
    with pytest.raises(
        InputError, match=r"takes images of \(3, 16, 16\), but .* makes \(1, 8, 8\); train it at the same"
    ):
        runs("gan").sample_quality(extractor=shapes_run, n=100)


def test_what_cannot_be_meant_is_refused(runs, tmp_path):
    run, conditional, vae = runs("pixelcnn"), runs("gated_pixelcnn"), runs("vae")
    image, images = torch.zeros(1, 8, 8, dtype=torch.uint8), torch.zeros(2, 1, 8, 8, dtype=torch.uint8)
    for call, message in (
        (lambda: run.sample(0), "n: must be at least 1, got 0"),
        (lambda: run.sample(2.5), r"n: must be a whole number, got 2\.5"),
        (lambda: run.sample(True), "n: must be a whole number, got True"),
        (lambda: run.sample(10**20), "n: must be at most 1,000,000, got 1000"),
        (lambda: run.sample(2, temperature=-1.0), "temperature: must be at least 0, got -1.0"),
        (lambda: run.sample(2, temperature="warm"), "temperature: must be at least 0, got 'warm'"),
        (lambda: run.sample(2, temperature=math.nan), "temperature: must be at least 0, got nan"),
        (lambda: run.complete(images, temperature=math.inf), "temperature: must be at least 0, got inf"),
        (lambda: run.sample(2, label=3), "label: .* is not class-conditional, got 3"),
        (lambda: conditional.sample(2, label="seven"), "label: 'seven' is not known"),
        (lambda: conditional.sample(2, label=10), "label: must be a class name, or a number from 0 to 9, got 10"),
        (lambda: conditional.sample(2, label=1.5), r"label: must be a class name, or a number from 0 to 9, got 1\.5"),
        (lambda: conditional.sample(2, label=True), "label: must be a class name, or a number from 0 to 9, got True"),
        (lambda: conditional.sample(3, label=[1, 2]), "label: must be one class, or one for each of 3 images"),
        (lambda: run.complete(image, rows=9), r"rows: must be from 0 to the images' height \(8\)"),
        (lambda: run.complete(images, rows=2.5), r"rows: must be a whole number, got 2\.5"),
        (lambda: run.complete(images, given=torch.ones(7, 8, dtype=torch.bool)), r"given: must be bool \(8, 8\)"),
        (lambda: run.complete(images, given=torch.ones(8, 8)), r"given: .* got 'torch\.float32 \(8, 8\)'"),
        (
            lambda: run.reconstruct(image),
            "is a run of pixelcnn, which cannot reconstruct images; that is for autoencoder, vae",
        ),
        (
            lambda: run.predict(image),
            "is a run of pixelcnn, which cannot predict classes; that is for mlp, convnet, resnet",
        ),
        (lambda: run.predictor, "is a run of pixelcnn, which cannot predict"),
        (lambda: run.evaluate(samples=5), "samples: bound the likelihood of a vae"),
        (lambda: run.complete(str(tmp_path / "none.png")), "none.png"),
        (lambda: vae.interpolate(image, image, steps=2000, label=1), "steps: must be at most 1,000, got 2000"),
        (lambda: vae.interpolate(image, image, steps=2.5, label=1), "steps: must be a whole number"),
        (lambda: vae.interpolate(images, image, label=1), "start: must be one image, got 2"),
        (lambda: vae.traverse(images, label=1), "image: must be one image, or None for the mean of the prior, got 2"),
        (
            lambda: runs("autoencoder").traverse(),
            "is a run of autoencoder, which cannot traverse latent dimensions; that is for vae",
        ),
    ):
        with pytest.raises(InputError, match=message):
            call()


def test_given_pixels_come_as_arrays_too(runs):
    run, images = runs("pixelcnn"), torch.randint(0, 256, (2, 1, 8, 8), dtype=torch.uint8)
    given = torch.rand(2, 1, 8, 8) < 0.5
    assert torch.equal(run.complete(images, given=given.numpy()), run.complete(images, given=given))
    assert torch.equal(run.complete(images, given=given[0, 0].tolist()), run.complete(images, given=given[0, 0]))


def test_a_mask_is_an_image_or_a_file_too(runs, tmp_path):
    run, images = runs("pixelcnn"), torch.randint(0, 256, (2, 1, 8, 8), dtype=torch.uint8)
    given = torch.rand(8, 8, generator=torch.Generator().manual_seed(0)) < 0.5
    expected = run.complete(images, given=given)
    pixels = np.where(given.numpy(), 130, 127).astype(np.uint8)  # 128 is the border
    Image.fromarray(pixels).save(tmp_path / "mask.png")
    large = Image.fromarray(pixels.repeat(10, 0).repeat(10, 1)).convert("RGB")
    np.save(tmp_path / "mask.npy", given.numpy())
    for mask in (
        tmp_path / "mask.png",
        str(tmp_path / "mask.png"),
        large,
        Image.fromarray(pixels),
        tmp_path / "mask.npy",
    ):
        assert torch.equal(run.complete(images, given=mask), expected)
    np.savez(tmp_path / "several.npz", a=pixels)
    (tmp_path / "several.npz").rename(tmp_path / "several.npy")
    np.save(tmp_path / "grey.npy", pixels)
    (tmp_path / "text.npy").write_text("no array")
    for mask, message in (
        (tmp_path / "none.png", "none.png"),
        (tmp_path / "none.npy", "none.npy: cannot be read as an array of numpy"),
        (tmp_path / "text.npy", "text.npy: cannot be read as an array of numpy"),
        (tmp_path / "several.npy", "must be one array of bool, got 'several arrays'"),
        (tmp_path / "grey.npy", r"given: must be bool \(8, 8\)"),
        (pixels, r"given: must be bool \(8, 8\)"),
    ):
        with pytest.raises(InputError, match=message):
            run.complete(images, given=mask)
    with pytest.raises(InputError, match="rows, given: say the same in two ways; give one"):
        run.complete(images, given=tmp_path / "mask.png", rows=4)


def test_latents_are_encoded_set_by_hand_and_decoded(runs):
    images = torch.randint(0, 256, (2, 1, 8, 8), dtype=torch.uint8)
    for name, options in (("autoencoder", {}), ("vae", {"label": 3})):
        run = runs(name)
        latents = run.encode(images, **options)
        assert latents.shape == (2, 6)
        before = run.decode(latents, **options)
        latents[:, 2] = 9.0
        after = run.decode(latents, **options)
        assert not torch.equal(before, after)
        assert torch.equal(after, run.decode(images=images, values={2: 9.0}, **options))
        assert run.decode(values={2: 9.0}, **options).shape == (1, 1, 8, 8)
    assert torch.equal(runs("autoencoder").decode(images=images), runs("autoencoder").reconstruct(images))
    with pytest.raises(InputError, match="is a run of gan, which cannot decode latents; that is for autoencoder, vae"):
        runs("gan").decode(values={2: 9.0})


def test_priors_and_pixel_noise_are_for_models_that_decode(runs):
    run = runs("autoencoder")
    samples = {prior: run.sample(6, prior=prior) for prior in (None, "standard", "gaussian", "mixture")}
    assert torch.equal(samples[None], samples["gaussian"])
    assert not torch.equal(samples["gaussian"], samples["mixture"])
    assert not torch.equal(samples["gaussian"], samples["standard"])
    noisy = run.sample(6, pixel_noise=True)
    assert torch.equal(noisy, run.sample(6, pixel_noise=True))
    assert not torch.equal(noisy, samples[None])
    assert "Gaussian mixture" in run.sample_quality(n=100, prior="mixture").sampling
    for call, message in (
        (
            lambda: runs("pixelcnn").sample(2, pixel_noise=True),
            r"pixel_noise: for models .*\(autoencoder, vae\), but .* pixelcnn",
        ),
        (
            lambda: runs("gan").sample(2, prior="mixture"),
            "prior: for models that decode latents .* but .* is a run of gan",
        ),
        (lambda: runs("gan").sample_quality(n=100, pixel_noise=True), "pixel_noise: for models that decode latents"),
        (lambda: runs("vae").sample(2, prior="mixture"), "prior: is chosen for an autoencoder"),
    ):
        with pytest.raises(InputError, match=message):
            call()


def test_a_path_depends_on_the_seed_only_where_values_are_sampled(tmp_path):
    options = {**SMALL, "epochs": 0.1, "model.levels": 2, "model.latent_dim": 3}
    run = api.train("digits", out=tmp_path / "run", model="vae", **options)
    grey = torch.full((1, 8, 8), 100, dtype=torch.uint8)
    first, other = (run.interpolate(grey, 255 - grey, steps=2, seed=seed) for seed in (0, 1))
    assert torch.equal(first, run.interpolate(grey, 255 - grey, steps=2, seed=0))
    assert not torch.equal(first, other)
    assert not torch.equal(run.traverse(grey, seed=0), run.traverse(grey, seed=1))
    (run.folder / "record.json").unlink()
    with pytest.raises(InputError, match="has not ended, so that the KL of its latent dimensions is not known yet"):
        run.traverse()


def test_images_of_one_class_are_enough(shapes, tmp_path):
    alone = tmp_path / "alone"
    alone.mkdir()
    (alone / "only").symlink_to(next(path for path in sorted(shapes.iterdir()) if path.is_dir()))
    options = {**SMALL, "epochs": 1, "resolution": 8, "model.conditional": True}
    run = api.train(alone, out=tmp_path / "run", model="gan", **options)
    assert run.sample(3, label="only").shape == (3, 3, 8, 8)
    with Image.open(run.folder / "generated" / "samples.png") as sheet:
        assert sheet.size == (8 * 8 + 7, 8 * 8 + 7)
    run = api.train(alone, out=tmp_path / "exact", model="pixelcnn", **{**options, "epochs": 0.2})
    assert run.evaluate(alone).n == run.results["test"]["n"]
    with pytest.raises(InputError, match="one class"):
        api.train(alone, out=tmp_path / "classifier", model="mlp", epochs=1)
    plain = api.train(alone / "only", out=tmp_path / "plain", model="vae", **{**options, "epochs": 0.2})
    assert list(plain.classes) == [(alone / "only").resolve().name]
    assert plain.evaluate(alone / "only").n == plain.results["test"]["n"]


@pytest.mark.parametrize("name", ["vae", "autoencoder"])
def test_a_handful_of_images_is_enough(name, tmp_path):
    x = np.random.default_rng(0).integers(0, 256, (7, 8, 8), dtype=np.uint8)
    np.savez(tmp_path / "few.npz", images=x, labels=np.zeros(7, int))
    run = api.train(tmp_path / "few.npz", out=tmp_path / "run", model=name, **{**SMALL, "data.test_fraction": 0.1})
    assert run.results["test"]["n"] == 1
    assert run.interpolate(x[0], x[1], steps=3).shape == (3, 1, 8, 8)
    np.savez(tmp_path / "one.npz", images=x[:1], labels=[0])
    with pytest.raises(InputError, match="has 1 training images; training needs at least two"):
        api.train(tmp_path / "one.npz", out=tmp_path / "other", model=name, **SMALL)
    assert not (tmp_path / "other").exists()


def test_penalties_hold_for_both_networks(tmp_path):
    options = {**SMALL, "epochs": 0.2, "ema": 0.0, "model.architecture": "dense", "optimizer": "momentum"}
    plain, limited, pulled, sparse = (
        dict(api.train("digits", out=tmp_path / name, model="gan", **options, **more).model.named_parameters())
        for name, more in (
            ("plain", {}),
            ("limited", {"reg.max_norm": 0.01}),
            ("pulled", {"reg.l2": 10.0}),
            ("sparse", {"reg.l1": 1.0}),
        )
    )
    for network in ("discriminator", "generator"):
        names = [name for name, weight in plain.items() if name.startswith(network) and weight.dim() == 2]
        assert max(plain[name].norm(dim=1).max() for name in names) > 0.02
        assert max(limited[name].norm(dim=1).max() for name in names) < 0.0101
        assert sum(pulled[name].norm() for name in names) < 0.8 * sum(plain[name].norm() for name in names)
        assert any((sparse[name] == 0).any() for name in names)


def test_the_report_names_the_estimator(runs):
    for name, text in (
        ("pixelcnn", "images: exact"),
        ("vae", "importance-weighted bound, k = 100"),
        ("autoencoder", "an autoencoder has no likelihood"),
    ):
        assert text in (runs(name).folder / "report.html").read_text(encoding="utf-8")
    assert "Test nats given the latent" in (runs("autoencoder").folder / "report.html").read_text(encoding="utf-8")


def test_colour_photographs_are_modelled_in_their_levels(shapes, tmp_path):
    options = {**SMALL, "epochs": 1, "model.levels": 4}
    run = api.train(shapes, out=tmp_path / "run", model="pixelcnn", resolution=8, **options)
    images = run.sample(2)
    assert images.shape == (2, 3, 8, 8)
    assert set(images.unique().tolist()) <= {0, 85, 170, 255}


def test_a_likelihood_can_stop_a_run(tmp_path):
    options = {**SMALL, "epochs": 30, "lr": 1e-12, "patience": 1}
    run = api.train("digits", out=tmp_path / "run", model="vae", **options)
    assert len(run.metrics) < 30
    assert json.loads((run.folder / "results.json").read_text())["test"]["n"] > 0
