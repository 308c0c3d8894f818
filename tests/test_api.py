"""The Python lines: train, predict, evaluate, check, resume, report; and a package that is quick to import."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import seewhy
from seewhy.cli.main import run as main
from seewhy.core.errors import InputError
from seewhy.nn import BatchNorm

pytestmark = pytest.mark.usefixtures("drawn")

QUICK = {"epochs": 1, "width": 4, "batch_size": 16, "precision": "fp32"}


@pytest.fixture(scope="module")
def trained(tmp_path_factory, shapes):
    """A run of one epoch on the shapes."""
    return seewhy.train(shapes, out=tmp_path_factory.mktemp("api") / "run", **QUICK)


@pytest.fixture(scope="module")
def image(shapes):
    """One file of the shapes, and its pixels."""
    path = sorted((shapes / "square").iterdir())[0]
    return path, np.asarray(Image.open(path))


def test_import_is_lazy_and_every_name_resolves():
    script = (
        "import sys, seewhy\n"
        "heavy = [name for name in ('torch', 'pydantic', 'numpy', 'rich') if name in sys.modules]\n"
        "listed = dir(seewhy)\n"
        "missing = [name for name in seewhy.__all__ if getattr(seewhy, name, None) is None]\n"
        "print(heavy, sorted(set(seewhy.__all__) - set(listed)), missing)"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[] [] []"
    with pytest.raises(AttributeError, match="module 'seewhy' has no attribute 'trian'"):
        seewhy.trian  # noqa: B018


def test_a_run_knows_what_it_is(trained):
    assert trained.classes == ("cross", "square", "stripes")
    assert 0 <= trained.results["test"]["accuracy"] <= 1
    assert trained.metrics[-1]["epoch"] == 1
    assert trained.spec.train.epochs == 1
    assert repr(trained) == f"seewhy.Run({str(trained.folder)!r})"
    assert seewhy.Run(trained.folder).results == trained.results


def test_the_same_pixels_give_the_same_answer_in_every_form(trained, image):
    path, pixels = image
    expected = trained.predict(str(path))
    tensor = torch.from_numpy(pixels.copy()).permute(2, 0, 1)
    for form in (path, Image.open(path), pixels, tensor):
        found = trained.predict(form)
        assert (found.label, found.top) == (expected.label, expected.top)
    assert expected.name == str(path)
    assert expected.confidence == expected.top[0][1]
    assert sum(share for _, share in expected.top) == pytest.approx(1, abs=1e-5)


def test_lists_and_batches_give_lists(trained, shapes):
    paths = sorted((shapes / "cross").iterdir())[:3]
    arrays = [np.asarray(Image.open(path)) for path in paths]
    batch = np.stack(arrays)
    expected = [trained.predict(path).top for path in paths]
    for form in (paths, [str(path) for path in paths], arrays, batch, torch.from_numpy(batch).permute(0, 3, 1, 2)):
        found = trained.predict(form)
        assert isinstance(found, list)
        for row, wanted in zip(found, expected, strict=True):
            assert [name for name, _ in row.top] == [name for name, _ in wanted]
            assert [share for _, share in row.top] == pytest.approx([share for _, share in wanted], abs=1e-5)
    assert trained.predict([]) == []


def test_predictions_are_the_models_probabilities(trained, image):
    _, pixels = image
    images = torch.from_numpy(pixels.copy()).permute(2, 0, 1)[None]
    shares = trained.probabilities(images)[0]
    assert dict(trained.predict(pixels).top) == pytest.approx(dict(zip(trained.classes, shares.tolist(), strict=True)))
    plain = seewhy.train(
        trained.spec.source, out=trained.folder.parent / "plain", **QUICK, **{"train.tta": "none", "flip": "none"}
    )
    with torch.no_grad():
        logits = plain.model(images)
    calibrated = (logits / plain.record["temperature"]).softmax(1)
    torch.testing.assert_close(plain.probabilities(images), calibrated, atol=1e-4, rtol=0)
    assert any(isinstance(module, BatchNorm) for module in plain.model.modules())
    assert not any(isinstance(module, BatchNorm) for module in plain.predictor.modules())


def test_a_bad_image_alone_is_an_error_and_in_a_list_an_entry(trained, image, tmp_path):
    bad = tmp_path / "bad.png"
    bad.write_text("no image")
    with pytest.raises(seewhy.InputError, match=r"bad\.png: "):
        trained.predict(bad)
    good, entry = trained.predict([image[0], bad])
    assert good.error is None
    assert entry.label is None
    assert entry.error
    with pytest.raises(seewhy.InputError):
        trained.predict(3.5)


def test_evaluate_is_what_the_results_say(trained):
    found = trained.evaluate()
    assert found.accuracy == trained.results["test"]["accuracy"]
    assert found.log_loss == pytest.approx(trained.results["test"]["log_loss"], rel=1e-4)
    assert found.n == trained.results["test"]["n"]
    assert seewhy.Run(trained.folder).evaluate().confusion == found.confusion
    assert trained.evaluate(trained.spec.source).n == found.n


def test_report_is_rebuilt_in_place(trained):
    (trained.folder / "report.html").unlink()
    path = trained.report()
    assert path == trained.folder / "report.html"
    assert path.read_text(encoding="utf-8").startswith("<!doctype html>")


def test_check_lists_what_is_wrong(shapes, tmp_path):
    (skipped,) = seewhy.check(shapes).issues
    assert (skipped.kind, skipped.severity) == ("near_duplicate", "note")
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        for number, file in enumerate(sorted((shapes / "cross").iterdir())[:6]):
            (tmp_path / name / f"{number}{name}.png").write_bytes(file.read_bytes())
    found = seewhy.check(tmp_path)
    assert found.of("conflicting_labels")


def test_resume_goes_on_to_the_same_end(shapes, tmp_path, trained):
    events = []

    def stop(event):
        events.append(event)
        if type(event).__name__ == "StepEnded" and event.step == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        seewhy.train(shapes, out=tmp_path / "run", observers=[stop], **QUICK)
    assert seewhy.Run(tmp_path / "run").results == {}
    run = seewhy.resume(tmp_path / "run")
    assert run.results == trained.results
    assert (run.folder / "report.html").is_file()


def test_wrong_options_are_refused_before_anything_is_written(shapes, tmp_path):
    with pytest.raises(seewhy.InputError, match="did you mean 'activation'"):
        seewhy.train(shapes, out=tmp_path / "run", activaton="elu")
    with pytest.raises(seewhy.InputError, match="is not a run folder"):
        seewhy.Run(tmp_path)
    with pytest.raises(seewhy.InputError, match=r"digits2: |'digits2' is neither a folder"):
        seewhy.train("digits2", out=tmp_path / "run")
    assert list(tmp_path.iterdir()) == []


def test_predictions_over_stochastic_passes_tell_how_far_they_lie_apart(trained, image, tmp_path, capsys):
    path, pixels = image
    with pytest.raises(InputError, match=r"^samples: nothing in the network of .* is random, such as dropout"):
        trained.predict(path, samples=5)
    run = seewhy.train(trained.spec.source, out=tmp_path / "run", **QUICK, dropout=0.5)
    first, again, plain = run.predict(path, samples=20), run.predict(pixels, samples=20), run.predict(path)
    assert first.top == again.top
    assert first.disagreement == again.disagreement > 0
    assert plain.disagreement is None
    assert first.confidence != plain.confidence
    assert main(["predict", str(run.folder), str(path), "--samples", "20", "--json"]) == 0
    (said,) = json.loads(capsys.readouterr().out)
    assert said["disagreement"] == pytest.approx(first.disagreement)


def test_another_run_starts_from_what_was_asked_for(trained, tmp_path):
    run = seewhy.train(spec=trained.folder, out=tmp_path / "run", optimizer="adam", **{"train.tta": "none"})
    assert run.spec.optim.name == "adam"
    assert run.spec.optim.lr == 0.002  # Adam's, and not what Muon had
    assert run.request.values["optim"] == {"name": "adam"}
    assert run.request.values["model"] == trained.request.values["model"] == {"width": 4}
    assert trained.spec.optim.name == "muon"
    repeated = seewhy.train(spec=trained.folder, out=tmp_path / "again")
    assert repeated.spec == trained.spec
    assert repeated.results == trained.results


def test_each_images_probabilities_are_kept(trained):
    test = np.load(trained.folder / "predictions" / "test.npz")
    assert test["probabilities"].shape == (trained.results["test"]["n"], 3)
    right = (test["probabilities"].argmax(1) == test["labels"]).mean()
    assert right == pytest.approx(trained.results["test"]["accuracy"])
    name = str(test["names"][0])
    again = trained.predict(Path(trained.spec.source) / name)
    assert again.confidence == pytest.approx(test["probabilities"][0].max(), abs=1e-5)


def test_a_run_is_stopped_by_a_word_and_its_events_tell(shapes, tmp_path):
    asked = []

    def stop():
        asked.append(None)
        return len(asked) >= 2

    with pytest.raises(seewhy.RunError, match="go on with: seewhy train --resume"):
        seewhy.train(shapes, out=tmp_path / "run", stop=stop, **{**QUICK, "epochs": 5})
    run = seewhy.Run(tmp_path / "run")
    assert run.results == {}
    names = [event["event"] for event in run.events]
    assert names.count("step_ended") == len(asked)
    assert names[-1] == "run_ended"
    assert run.events[-1]["reason"] == "interrupted"


def test_a_generative_run_has_the_verbs_of_its_model(tmp_path):
    options = {"width": 8, "depth": 1, "model.latent_dim": 2, "epochs": 1, "precision": "fp32", "ema": 0.9}
    run = seewhy.train("digits", out=tmp_path / "run", model="vae", **options)
    assert run.sample(3).shape == (3, 1, 8, 8)
    assert run.sample(3, seed=1).dtype == torch.uint8
    figures = run.evaluate(samples=3)
    assert figures.n == run.results["test"]["n"]
    assert run.sample_quality(n=100).generated.frechet.n_generated == 100
    assert run.traverse(steps=3, dimensions=2).shape == (6, 1, 8, 8)
    with pytest.raises(seewhy.InputError, match="is a run of vae, which cannot complete images; that is for pixelcnn"):
        run.complete(run.sample(1))
    with pytest.raises(
        seewhy.InputError, match="is a run of vae, which cannot predict classes; that is for mlp, convnet, resnet"
    ):
        run.predict(np.zeros((8, 8), np.uint8))
