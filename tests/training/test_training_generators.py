"""Generators by the same commands as recognisers: train, go on exactly, evaluate, draw, complete; what cannot be is refused."""

import json
import math
from itertools import pairwise

import numpy as np
import pytest
import torch
from PIL import Image
from test_training_resume import assert_same_bits
from torch.nn.utils import parametrize

from seewhy import api
from seewhy.core.errors import InputError
from seewhy.models.latent.journeys import quantiles
from seewhy.models.latent.vae import Objective
from seewhy.reporting import grid
from seewhy.training.assemble import make_optimizer
from seewhy.training.generators.build import density, empty_generator
from seewhy.training.generators.frames import moments
from seewhy.training.loop.events import RunStarted, StepEnded
from seewhy.training.results.pictures import pixels_of
from seewhy.training.spec import make_spec, names_of
from seewhy.training.spec.defaults import Facts, resolve
from seewhy.training.spec.sections import AUTOREGRESSIVE, GENERATORS, ModelName

SMALL = {"width": 8, "depth": 1, "epochs": 2, "lr": 0.01, "precision": "fp32", "train.threads": 1}
OPTIONS = {
    "pixelcnn": {"generator.kernel": 5},
    "gated_pixelcnn": {"generator.conditional": True},
    "row_lstm": {},
    "diagonal_bilstm": {"generator.levels": 2},
    "autoencoder": {"generator.code": 6},
    "vae": {"generator.code": 6, "generator.conditional": True, "generator.kl_warmup": 0.5},
    "gan": {"generator.turns": 2},
}


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """A small run of each generator, trained when it is first asked for."""
    home, made = tmp_path_factory.mktemp("generators"), {}

    def get(name):
        if name not in made:
            made[name] = api.train("digits", out=home / name, model=name, **SMALL, **OPTIONS[name])
        return made[name]

    return get


@pytest.mark.parametrize("name", OPTIONS)
def test_it_learns_and_is_measured(runs, name):
    run = runs(name)
    page = (run.folder / "report.html").read_text()
    assert "Through training" in page
    assert "samples" in page
    assert "has not ended" not in page
    if name == "gan":
        assert run.metrics[-1]["train_generator_loss"] > 0
        assert "to compare them with real ones: seewhy evaluate" in page
        with pytest.raises(InputError, match="is a gan, which has no likelihood"):
            run.evaluate()
        return
    losses = [row["train_loss"] for row in run.metrics]
    assert losses[-1] < losses[0]
    if name == "pixelcnn":
        assert run.model.net.blocks[0].inner.kernel == (5, 5)
    assert run.results["test"]["nats"] < 64 * math.log(run.spec.generator.levels)  # better than every level alike
    again = run.evaluate()
    assert again.nats == pytest.approx(run.results["test"]["nats"], abs=1e-4)
    assert again.interval[0] < again.nats < again.interval[1]
    assert again.bits_per_dimension == pytest.approx(again.nats / (64 * math.log(2)))


@pytest.mark.parametrize("name", OPTIONS)
def test_equal_seeds_draw_equal_pictures(runs, name):
    run = runs(name)
    first, again, other = run.sample(6, seed=3), run.sample(6, seed=3), run.sample(6, seed=4)
    assert first.shape == (6, 1, 8, 8)
    assert first.dtype == torch.uint8
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


@pytest.mark.parametrize("name", [name for name in OPTIONS if name in AUTOREGRESSIVE])
def test_given_pixels_are_kept_exactly(runs, name):
    run = runs(name)
    images = torch.randint(0, 256, (3, 1, 8, 8), dtype=torch.uint8)
    done = run.complete(images, rows=5, seed=1)
    assert torch.equal(done[:, :, :5], images[:, :, :5])
    assert not torch.equal(done[:, :, 5:], images[:, :, 5:])
    given = torch.rand(8, 8) < 0.5
    done = run.complete(images, given=given)
    assert torch.equal(done[:, :, given], images[:, :, given])


@pytest.mark.parametrize("name", OPTIONS)
def test_interrupted_it_ends_with_the_same_bits(runs, name, tmp_path):
    def stop(event):
        if isinstance(event, StepEnded) and event.step == 7:
            raise KeyboardInterrupt

    folder = tmp_path / "run"
    options = {**SMALL, **OPTIONS[name], "train.checkpoint_seconds": 0.0}
    with pytest.raises(KeyboardInterrupt):
        api.train("digits", out=folder, model=name, observers=[stop], **options)
    api.resume(folder)
    reference = runs(name)
    assert_same_bits(folder, reference.folder)
    assert json.loads((folder / "results.json").read_text()) == reference.results


def test_a_class_can_be_asked_for(runs):
    run = runs("gated_pixelcnn")
    assert torch.equal(run.sample(3, label="7", seed=0), run.sample(3, label=7, seed=0))
    assert not torch.equal(run.sample(24, label=7, seed=0), run.sample(24, label=1, seed=0))
    assert torch.equal(run.sample(10, seed=0), run.sample(10, label=list(range(10)), seed=0))


def test_codes_lead_from_picture_to_picture(runs):
    images = torch.randint(0, 256, (2, 1, 8, 8), dtype=torch.uint8)
    for name, told in (("autoencoder", {}), ("vae", {"label": 3})):
        run = runs(name)
        back = run.reconstruct(images, **told)
        assert back.shape == images.shape
        path = run.interpolate(images[0], images[1], steps=5, **told)
        assert path.shape == (5, 1, 8, 8)
        assert not torch.equal(path[0], path[-1])
    assert torch.equal(
        runs("autoencoder").interpolate(images[0], images[1], steps=2)[0], runs("autoencoder").reconstruct(images)[0]
    )


def test_a_picture_without_a_label_is_seen_as_what_it_is_likeliest(runs, monkeypatch):
    run = runs("vae")
    images, told = torch.randint(0, 256, (4, 1, 8, 8), dtype=torch.uint8), torch.tensor([7, 2, 2, 5])
    network = run._run.model

    def losses(pictures, labels):  # every picture is likeliest by the class that it is told here
        return {"loss": (labels != told[: len(pictures)]).float() + 0.01 * labels}

    expected = run.reconstruct(images, label=told)
    monkeypatch.setattr(type(network), "forward", lambda self, *given: losses(*given))
    assert torch.equal(run.reconstruct(images), expected)
    way = run.interpolate(images[0], images[1], steps=3, label=[7, 2])
    assert torch.equal(run.interpolate(images[0], images[1], steps=3), way)
    assert torch.equal(run.traverse(images[0], steps=2), run.traverse(images[0], steps=2, label=7))
    state = torch.random.get_rng_state()
    run.reconstruct(images)
    assert torch.equal(torch.random.get_rng_state(), state)


def test_dimensions_are_traversed_by_their_information(runs):
    run = runs("vae")
    kept = json.loads((run.folder / "generated.json").read_text())
    assert kept["kl"] == sorted(kept["kl"], reverse=True)
    assert run.results["code"]["kl"] == pytest.approx(sum(kept["kl"]), rel=1e-3)
    made = run.traverse(steps=3, dimensions=2, label=0)
    assert made.shape == (6, 1, 8, 8)
    assert kept["order"] != sorted(kept["order"])
    codes = torch.zeros(6, 3, 6)
    for row, dimension in enumerate(kept["order"]):
        codes[row, :, dimension] = quantiles(3)
    expected = run.model.pictures(codes.flatten(0, 1), torch.zeros(18, dtype=torch.int64))
    assert torch.equal(run.traverse(steps=3, label=0), expected)
    with Image.open(run.folder / "generated" / "traversals.png") as sheet:
        shown = np.asarray(sheet)
    told = [grid(pixels_of(run.traverse(label=label)), columns=9)[..., 0] for label in range(10)]
    assert any(np.array_equal(shown, each) for each in told)  # the class is that of the first picture
    assert run.traverse(torch.zeros(1, 8, 8, dtype=torch.uint8), steps=3, dimensions=1, label=0).shape == (3, 1, 8, 8)


def test_an_autoencoder_draws_from_the_codes_of_its_pictures(runs):
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


def test_drawn_pictures_are_compared_with_real_ones(runs, tmp_path, capsys):
    from seewhy.cli.main import run as command

    reader = api.train("digits", out=tmp_path / "reader", model="mlp", epochs=3, **{"train.threads": 1})
    run = runs("gan")
    found = run.fidelity(extractor=reader, n=120)
    assert "features" in found.drawn.frechet.extractor
    assert found.drawn.frechet.n_drawn == 120
    assert found.yardstick.frechet.fid < found.drawn.frechet.fid  # a network of two epochs draws worse than life
    assert 0 <= found.classes.covered <= 10
    assert run.fidelity(extractor=reader, n=120).to_json() == found.to_json()
    told = runs("vae").fidelity(n=100)
    assert told.classes is None
    assert told.drawn.frechet.extractor.startswith("pixels")
    assert command(["evaluate", str(run.folder), "--drawn", "100"]) == 0
    assert "FID" in capsys.readouterr().out
    assert (
        command(
            ["evaluate", str(runs("pixelcnn").folder), "--extractor", str(reader.folder), "--drawn", "100", "--json"]
        )
        == 0
    )
    assert json.loads(capsys.readouterr().out)["drawn"]["precision_recall"]["n_drawn"] == 100
    assert command(["evaluate", str(run.folder), "--drawn", "99"]) == 2
    assert "--drawn: must be at least 100" in capsys.readouterr().err
    for call, message in (
        (lambda: run.fidelity(n=50), "n: must be at least 100"),
        (lambda: run.fidelity(extractor=run, n=100), "is no recogniser"),
        (lambda: reader.fidelity(n=100), "cannot draw pictures"),
    ):
        with pytest.raises(InputError, match=message):
            call()


def test_players_move_in_turns(tmp_path):
    moved = []

    class Watch:
        def __call__(self, event):
            if isinstance(event, RunStarted):
                self.model = event.model
                self.before = [[weight.clone() for weight in half.parameters()] for half in self.halves()]
            if isinstance(event, StepEnded) and event.step <= 4:
                now = [list(half.parameters()) for half in self.halves()]
                moved.append(
                    [
                        any(not torch.equal(a, b) for a, b in zip(*pair, strict=True))
                        for pair in zip(now, self.before, strict=True)
                    ]
                )
                self.before = [[weight.clone() for weight in half] for half in now]

        def halves(self):
            return self.model.discriminator, self.model.generator

    options = {**SMALL, "epochs": 0.2, "generator.turns": 2}
    api.train("digits", out=tmp_path / "run", model="gan", observers=[Watch()], **options)
    assert moved == [[True, False], [True, True], [True, False], [True, True]]


def test_what_cannot_be_meant_is_refused(runs, tmp_path):
    run, told = runs("pixelcnn"), runs("gated_pixelcnn")
    for call, message in (
        (lambda: run.sample(0), "n: must be at least 1, got 0"),
        (lambda: run.sample(2, temperature=-1.0), "temperature: must be at least 0, got -1.0"),
        (lambda: run.sample(2, label=3), "label: .*trained without classes, got 3"),
        (lambda: told.sample(2, label="seven"), "label: 'seven' is not known"),
        (lambda: told.sample(2, label=10), "label: must be a class name, or a number from 0 to 9, got 10"),
        (lambda: told.sample(3, label=[1, 2]), "label: must be one class, or one for each of 3 pictures"),
        (
            lambda: run.complete(torch.zeros(1, 8, 8, dtype=torch.uint8), rows=9),
            "rows: must be from 0 to the pictures' height",
        ),
        (
            lambda: run.reconstruct(torch.zeros(1, 8, 8, dtype=torch.uint8)),
            "is a pixelcnn, which cannot reconstruct pictures",
        ),
        (lambda: run.predict(torch.zeros(1, 8, 8, dtype=torch.uint8)), "makes pictures and recognises none"),
        (lambda: run.evaluate(samples=5), "samples: bound the likelihood of a vae"),
        (lambda: run.complete(str(tmp_path / "none.png")), "none.png"),
    ):
        with pytest.raises(InputError, match=message):
            call()


def test_classes_are_asked_for_by_numbers_of_any_kind(runs):
    run = runs("gated_pixelcnn")
    expected = run.sample(2, label=[7, 1])
    for label in (torch.tensor([7, 1]), np.array([7, 1]), (np.int64(7), torch.tensor(1)), ["7", 1]):
        assert torch.equal(run.sample(2, label=label), expected)
    assert torch.equal(run.sample(2, label=np.int64(7)), run.sample(2, label=7))
    assert torch.equal(run.sample(2, label=torch.tensor(7)), run.sample(2, label=7))


def test_given_pixels_come_as_arrays_too(runs):
    run, images = runs("pixelcnn"), torch.randint(0, 256, (2, 1, 8, 8), dtype=torch.uint8)
    given = torch.rand(2, 1, 8, 8) < 0.5
    assert torch.equal(run.complete(images, given=given.numpy()), run.complete(images, given=given))
    assert torch.equal(run.complete(images, given=given[0, 0].tolist()), run.complete(images, given=given[0, 0]))


def test_arguments_of_other_kinds_are_named(runs):
    run, told, vae = runs("pixelcnn"), runs("gated_pixelcnn"), runs("vae")
    images = torch.zeros(2, 1, 8, 8, dtype=torch.uint8)
    for call, message in (
        (lambda: run.sample(2.5), r"n: must be a whole number, got 2\.5"),
        (lambda: run.sample(True), "n: must be a whole number, got True"),
        (lambda: run.sample(10**20), "n: must be at most 1,000,000, got 1000"),
        (lambda: run.sample(2, temperature="warm"), "temperature: must be at least 0, got 'warm'"),
        (lambda: run.sample(2, temperature=math.nan), "temperature: must be at least 0, got nan"),
        (lambda: run.complete(images, temperature=math.inf), "temperature: must be at least 0, got inf"),
        (lambda: told.sample(2, label=1.5), r"label: must be a class name, or a number from 0 to 9, got 1\.5"),
        (lambda: told.sample(2, label=True), "label: must be a class name, or a number from 0 to 9, got True"),
        (lambda: run.complete(images, rows=2.5), r"rows: must be a whole number, got 2\.5"),
        (lambda: run.complete(images, given=torch.ones(7, 8, dtype=torch.bool)), r"given: must be bool \(8, 8\)"),
        (lambda: run.complete(images, given=torch.ones(8, 8)), r"given: .* got 'torch\.float32 \(8, 8\)'"),
        (lambda: vae.interpolate(images[0], images[1], steps=2000, label=1), "steps: must be at most 1,000, got 2000"),
        (lambda: vae.interpolate(images[0], images[1], steps=2.5, label=1), "steps: must be a whole number"),
        (lambda: vae.traverse(images, label=1), "traverse: starts from one picture, or from the middle, got 2"),
        (lambda: run.fidelity(n=100.5), r"n: must be a whole number, got 100\.5"),
        (lambda: runs("autoencoder").traverse(), "is an autoencoder, which cannot change one dimension"),
    ):
        with pytest.raises(InputError, match=message):
            call()


def test_a_way_depends_on_the_seed_only_where_values_are_drawn(runs, tmp_path):
    options = {**SMALL, "epochs": 0.1, "generator.levels": 2, "generator.code": 3}
    run = api.train("digits", out=tmp_path / "run", model="vae", **options)
    grey = torch.full((1, 8, 8), 100, dtype=torch.uint8)
    first, other = (run.interpolate(grey, 255 - grey, steps=2, seed=seed) for seed in (0, 1))
    assert torch.equal(first, run.interpolate(grey, 255 - grey, steps=2, seed=0))
    assert not torch.equal(first, other)
    assert not torch.equal(run.traverse(grey, seed=0), run.traverse(grey, seed=1))
    (run.folder / "generated.json").unlink()
    with pytest.raises(InputError, match="has not ended, so that the KL of its dimensions is not known yet"):
        run.traverse()


def test_pictures_of_one_class_are_enough(shapes, tmp_path):
    alone = tmp_path / "alone"
    alone.mkdir()
    (alone / "only").symlink_to(next(path for path in sorted(shapes.iterdir()) if path.is_dir()))
    options = {**SMALL, "epochs": 1, "resolution": 8, "generator.conditional": True}
    run = api.train(alone, out=tmp_path / "run", model="gan", **options)
    assert run.sample(3, label="only").shape == (3, 3, 8, 8)
    with Image.open(run.folder / "generated" / "samples.png") as sheet:
        assert sheet.size == (8 * 8 + 7, 8 * 8 + 7)
    run = api.train(alone, out=tmp_path / "exact", model="pixelcnn", **{**options, "epochs": 0.2})
    assert run.evaluate(alone).n == run.results["test"]["n"]
    with pytest.raises(InputError, match="of one class only"):
        api.train(alone, out=tmp_path / "recogniser", model="mlp", epochs=1)
    plain = api.train(alone / "only", out=tmp_path / "plain", model="vae", **{**options, "epochs": 0.2})
    assert list(plain.classes) == [(alone / "only").resolve().name]
    assert plain.evaluate(alone / "only").n == plain.results["test"]["n"]


@pytest.mark.parametrize("name", ["vae", "autoencoder"])
def test_a_handful_of_pictures_is_enough(name, tmp_path):
    x = np.random.default_rng(0).integers(0, 256, (7, 8, 8), dtype=np.uint8)
    np.savez(tmp_path / "few.npz", images=x, labels=np.zeros(7, int))
    run = api.train(tmp_path / "few.npz", out=tmp_path / "run", model=name, **{**SMALL, "data.test_fraction": 0.1})
    assert run.results["test"]["n"] == 1
    assert run.interpolate(x[0], x[1], steps=3).shape == (3, 1, 8, 8)
    np.savez(tmp_path / "one.npz", images=x[:1], labels=[0])
    with pytest.raises(InputError, match="has 1 training images; a generator needs at least two"):
        api.train(tmp_path / "one.npz", out=tmp_path / "other", model=name, **SMALL)
    assert not (tmp_path / "other").exists()


def test_penalties_hold_for_both_players(tmp_path):
    options = {**SMALL, "epochs": 0.2, "train.ema": 0.0, "generator.coder": "dense", "optimizer": "momentum"}
    plain, limited, pulled, sparse = (
        dict(api.train("digits", out=tmp_path / name, model="gan", **options, **more).model.named_parameters())
        for name, more in (
            ("plain", {}),
            ("limited", {"reg.max_norm": 0.01}),
            ("pulled", {"reg.l2": 10.0}),
            ("sparse", {"reg.l1": 1.0}),
        )
    )
    for player in ("discriminator", "generator"):
        names = [name for name, weight in plain.items() if name.startswith(player) and weight.dim() == 2]
        assert max(plain[name].norm(dim=1).max() for name in names) > 0.02
        assert max(limited[name].norm(dim=1).max() for name in names) < 0.0101
        assert sum(pulled[name].norm() for name in names) < 0.8 * sum(plain[name].norm() for name in names)
        assert any((sparse[name] == 0).any() for name in names)


def test_the_report_names_the_estimator(runs):
    for name, said in (
        ("pixelcnn", "images: exact"),
        ("vae", "importance-weighted bound, k = 100"),
        ("autoencoder", "an autoencoder has no likelihood"),
    ):
        assert said in (runs(name).folder / "report.html").read_text()
    assert "Test nats given the code" in (runs("autoencoder").folder / "report.html").read_text()


def test_a_reader_of_other_classes_counts_none(runs, tmp_path):
    x = np.random.default_rng(0).integers(0, 256, (200, 8, 8), dtype=np.uint8)
    np.savez(tmp_path / "other.npz", images=x, labels=np.arange(200) % 10 + 100)
    reader = api.train(tmp_path / "other.npz", out=tmp_path / "reader", model="mlp", epochs=1, **{"train.threads": 1})
    found = runs("gan").fidelity(extractor=reader, n=100)
    assert found.classes is None
    assert found.drawn.frechet.extractor.startswith("mlp of run reader")


def test_the_weight_of_the_kl_rises_over_its_share_of_the_steps():
    task, weights = density(make_spec("digits", {"model": "vae", "generator.kl_warmup": 0.5})), []

    def network(images, labels, *, kl_weight):
        weights.append(kl_weight)
        return dict.fromkeys(task.columns, torch.zeros(len(images)))

    for done in (0.0, 0.25, 0.5, 1.0):
        task.losses(network, torch.zeros(2, 1, 8, 8), None, None, done)
    assert weights == [0.0, 0.5, 1.0, 1.0]
    assert density(make_spec("digits", {"model": "pixelcnn"})).warmup is None


@pytest.mark.parametrize(("name", "betas"), [("gan", (0.5, 0.999)), ("vae", (0.9, 0.999))])
def test_adam_forgets_sooner_in_a_game(name, betas):
    facts = Facts(
        height=8, width=8, channels=1, classes=3, train_images=90, val_images=10, test_images=10, mirrorable=False
    )
    spec = resolve(make_spec("digits", {"model": name, "width": 4}), facts)
    optimizer = make_optimizer(spec, empty_generator(spec, facts))
    assert all(group["betas"] == betas for group in optimizer.param_groups)


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"generator.beta": 3.0}, {"beta": 3.0}),
        ({"generator.free_bits": 0.25}, {"free_bits": 0.25}),
        ({"generator.samples": 4}, {"samples": 4}),
    ],
)
def test_the_objective_is_the_specifications(options, expected):
    facts = Facts(
        height=8, width=8, channels=1, classes=3, train_images=90, val_images=10, test_images=10, mirrorable=False
    )
    objective = empty_generator(resolve(make_spec("digits", {"model": "vae", **options}), facts), facts).objective
    assert objective == Objective(**expected)


@pytest.mark.parametrize("coder", ["dense", "conv"])
def test_the_hinge_has_spectral_norms_and_the_penalty_its_weight(coder):
    facts = Facts(
        height=8, width=8, channels=1, classes=3, train_images=90, val_images=10, test_images=10, mirrorable=False
    )
    common = {"model": "gan", "generator.coder": coder, "width": 10}
    made = {
        loss: empty_generator(resolve(make_spec("digits", {**common, "generator.loss": loss}), facts), facts)
        for loss in ("hinge", "wasserstein")
    }
    normalised = [layer for layer in made["hinge"].discriminator.modules() if parametrize.is_parametrized(layer)]
    weights = [weight for weight in made["hinge"].discriminator.parameters() if weight.dim() > 1]
    assert len(normalised) == len(weights)
    assert (made["wasserstein"].penalty, made["wasserstein"].turns, made["hinge"].penalty) == (10.0, 5, 0.0)


@pytest.mark.parametrize("name", sorted(set(names_of(ModelName)) - set(GENERATORS)))
def test_a_recogniser_takes_no_generators_choices(name):
    with pytest.raises(InputError, match=r"generator\.levels: is for generators"):
        make_spec("digits", {"model": name, "generator.levels": 4})


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"model": "pixelcnn", "generator.code": 4},
            "generator.code: is for autoencoder, vae, gan, but model.name is 'pixelcnn'; leave it out",
        ),
        (
            {"model": "pixelcnn", "generator.kernel": 4},
            "generator.kernel: must be odd, so that it has a centre, got 4",
        ),
        (
            {"model": "diagonal_bilstm", "generator.kernel": 5},
            "generator.kernel: is for pixelcnn, gated_pixelcnn, but model.name is 'diagonal_bilstm'; leave it out",
        ),
        (
            {"model": "gan", "init": "he"},
            "model.init: is for recognisers, but model.name is 'gan', got 'he'; leave it out",
        ),
        (
            {"model": "vae", "model.norm": "batch"},
            "model.norm: is for recognisers, but model.name is 'vae', got 'batch'; leave it out",
        ),
        (
            {"model": "vae", "reg.dropout": 0.5},
            "reg.dropout: is for recognisers, but model.name is 'vae', got 0.5; leave it out",
        ),
        (
            {"model": "pixelcnn", "activation": "elu"},
            "model.activation: pixelcnn has its own, got 'elu'; leave it out, or choose one of autoencoder, vae",
        ),
        (
            {"model": "vae", "reg.mixup": 0.2},
            "reg.mixup: is for recognisers, but model.name is 'vae', got 0.2; leave it out",
        ),
        (
            {"model": "vae", "members": 3},
            "ensemble.members: is for recognisers, but model.name is 'vae', got 3; leave it out",
        ),
        (
            {"model": "pixelcnn", "optimizer": "lbfgs"},
            "optim.name: lbfgs is for recognisers, but model.name is 'pixelcnn'; choose a first-order optimiser",
        ),
        (
            {"model": "gan", "patience": 2},
            "train.patience: a gan has no validation loss that could stop rising, got 2; leave it out",
        ),
        (
            {"model": "vae", "generator.output": "bernoulli", "generator.levels": 4},
            "generator.output: 'bernoulli' has 2 levels, but generator.levels is 4; choose 2, a gaussian or logistic",
        ),
        (
            {"model": "pixelcnn", "generator.binarise": "threshold", "generator.levels": 3},
            "generator.binarise: 'threshold' makes 2 levels, but generator.levels is 3; choose 2 or leave it out",
        ),
    ],
)
def test_wrong_combinations_are_refused_with_their_message(options, message):
    with pytest.raises(InputError) as caught:
        make_spec("digits", options)
    assert str(caught.value) == message


def test_colour_photographs_are_modelled_in_their_levels(shapes, tmp_path):
    run = api.train(
        shapes,
        out=tmp_path / "run",
        model="pixelcnn",
        resolution=8,
        **{**SMALL, "epochs": 1},
        **{"generator.levels": 4},
    )
    drawn = run.sample(2)
    assert drawn.shape == (2, 3, 8, 8)
    assert set(drawn.unique().tolist()) <= {0, 85, 170, 255}


def test_frames_lie_ever_further_apart():
    assert moments(5) == (1, 2, 3, 4, 5)
    found = moments(300)
    assert found[0] == 1
    assert found[-1] == 300
    steps = [after - before for before, after in pairwise(found)]
    assert steps == sorted(steps)


def test_the_command_line_writes_sheets_and_single_pictures(runs, tmp_path, capsys):
    from seewhy.cli.main import run as command

    folder = str(runs("pixelcnn").folder)
    assert (
        command(["generate", "sample", folder, "-n", "6", "--columns", "3", "--out", str(tmp_path / "sheet.png")]) == 0
    )
    with Image.open(tmp_path / "sheet.png") as sheet:
        assert sheet.size == (3 * 8 + 2, 2 * 8 + 1)
    assert command(["generate", "sample", folder, "-n", "3", "--out", str(tmp_path / "single")]) == 0
    assert sorted(path.name for path in (tmp_path / "single").iterdir()) == ["1.png", "2.png", "3.png"]
    assert (
        command(
            [
                "generate",
                "complete",
                folder,
                str(tmp_path / "single"),
                "--rows",
                "4",
                "--out",
                str(tmp_path / "done.png"),
            ]
        )
        == 0
    )
    with Image.open(tmp_path / "done.png") as sheet:
        kept = np.asarray(sheet)
    assert np.array_equal(kept[:4], kept[9:13])
    assert (
        command(["generate", "complete", folder, str(tmp_path / "single"), "--rows", "4", "--out", str(tmp_path / "d")])
        == 0
    )
    assert len(list((tmp_path / "d").iterdir())) == 3  # those that were made, not those they were made from
    vae = str(runs("vae").folder)
    assert (
        command(["generate", "traverse", vae, "--dimensions", "3", "--steps", "2", "--out", f"{tmp_path}/t.png"]) == 0
    )
    with Image.open(tmp_path / "t.png") as sheet:
        assert sheet.size == (2 * 8 + 1, 3 * 8 + 2)
    assert (
        command(["generate", "sample", folder, "-n", "2", "--columns", f"{10**20}", "--out", f"{tmp_path}/w.png"]) == 0
    )
    with Image.open(tmp_path / "w.png") as sheet:
        assert sheet.size == (2 * 8 + 1, 8)
    for arguments, message in (
        (["sample", folder, "--out", ""], "--out: . exists already"),
        (["sample", folder, "-n", "0"], "-n: must be at least 1, got 0"),
        (["sample", str(runs("gated_pixelcnn").folder), "--label", "\u00b2"], "label: '\u00b2' is not known"),
        (["sample", folder, "-n", "99999999999999999999"], "n: must be at most 1,000,000"),
        (["sample", folder, "--out", str(tmp_path / "sheet.png" / "x.png")], "sheet.png is no folder"),
        (["traverse", vae, "--temperature", "2"], "--temperature: belongs to sample and complete"),
        (["sample", folder, "--dimensions", "2"], "--dimensions: belongs to traverse"),
        (["sample", folder, "--out", str(tmp_path / "sheet.png")], "exists already and is not overwritten"),
        (["smple", folder], "must be one of sample, complete"),
        (["complete", folder], "complete: needs pictures to start from"),
        (["sample", folder, "--rows", "3"], "--rows: belongs to complete"),
        (["sample", folder, "--out", "x.jpg"], "--out: must be a .png file"),
    ):
        assert command(["generate", *arguments]) == 2
        assert message in capsys.readouterr().err
