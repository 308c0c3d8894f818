"""Generators by the same commands as recognisers: train, go on exactly, evaluate, draw, complete; what cannot be is refused."""

import json
import math
from itertools import pairwise

import numpy as np
import pytest
import torch
from PIL import Image
from test_training_resume import assert_same_bits

from seewhy import api
from seewhy.core.errors import InputError
from seewhy.training.generators.frames import moments
from seewhy.training.loop.events import RunStarted, StepEnded
from seewhy.training.spec import make_spec, names_of
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
    if name == "gan":
        assert run.metrics[-1]["train_generator_loss"] > 0
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


def test_dimensions_are_traversed_by_their_information(runs):
    run = runs("vae")
    kept = json.loads((run.folder / "generated.json").read_text())
    assert kept["kl"] == sorted(kept["kl"], reverse=True)
    assert run.results["code"]["kl"] == pytest.approx(sum(kept["kl"]), rel=1e-3)
    made = run.traverse(steps=3, dimensions=2, label=0)
    assert made.shape == (6, 1, 8, 8)
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
    for arguments, message in (
        (["sample", folder, "--out", str(tmp_path / "sheet.png")], "exists already and is not overwritten"),
        (["smple", folder], "must be one of sample, complete"),
        (["complete", folder], "complete: needs pictures to start from"),
        (["sample", folder, "--rows", "3"], "--rows: belongs to complete"),
        (["sample", folder, "--out", "x.jpg"], "--out: must be a .png file"),
    ):
        assert command(["generate", *arguments]) == 2
        assert message in capsys.readouterr().err
