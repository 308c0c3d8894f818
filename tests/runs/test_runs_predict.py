"""Predictions of a run: images in every form, lists, files by the chunk, samples, and what is refused."""

import io
import json

import numpy as np
import pytest
import torch
from PIL import Image

import seewhy
from seewhy.core.errors import InputError
from seewhy.runs import predict as module


@pytest.fixture(scope="module")
def image(shapes):
    """One file of the shapes, and its pixels."""
    path = sorted((shapes / "square").iterdir())[0]
    with Image.open(path) as file:
        return path, np.asarray(file)


def test_the_same_pixels_give_the_same_answer_in_every_form(shapes_run, image):
    path, pixels = image
    expected = shapes_run.predict(str(path))
    tensor = torch.from_numpy(pixels.copy()).permute(2, 0, 1)
    for form in (path, Image.fromarray(pixels), pixels, tensor):
        prediction = shapes_run.predict(form)
        assert (prediction.label, prediction.top) == (expected.label, expected.top)
    assert expected.name == str(path)
    assert expected.confidence == expected.top[0][1]
    assert sum(share for _, share in expected.top) == pytest.approx(1, abs=1e-5)
    assert expected.disagreement is None
    assert "disagreement" not in expected.to_json()
    json.dumps(expected.to_json(), allow_nan=False)


def test_lists_and_batches_give_lists(shapes_run, shapes):
    paths = sorted((shapes / "cross").iterdir())[:3]
    arrays = []
    for path in paths:
        with Image.open(path) as file:
            arrays.append(np.asarray(file))
    batch = np.stack(arrays)
    expected = [shapes_run.predict(path).top for path in paths]
    for form in (paths, [str(path) for path in paths], arrays, batch, torch.from_numpy(batch).permute(0, 3, 1, 2)):
        predictions = shapes_run.predict(form)
        assert isinstance(predictions, list)
        for prediction, wanted in zip(predictions, expected, strict=True):
            assert [name for name, _ in prediction.top] == [name for name, _ in wanted]
            assert [share for _, share in prediction.top] == pytest.approx([share for _, share in wanted], abs=1e-5)
    assert shapes_run.predict([]) == []


def test_a_bad_image_alone_is_an_error_and_in_a_list_an_entry(shapes_run, image, tmp_path):
    bad = tmp_path / "bad.png"
    bad.write_text("no image")
    with pytest.raises(InputError, match=r"bad\.png: "):
        shapes_run.predict(bad)
    good, entry = shapes_run.predict([image[0], bad])
    assert good.error is None
    assert entry.label is None
    assert entry.error
    for wrong in (3.5, None, [3.5], {"a": image[0]}):
        with pytest.raises(InputError):
            shapes_run.predict(wrong)


def test_images_come_in_every_container(shapes_run, shapes):
    paths = sorted((shapes / "cross").iterdir())[:3]
    expected = shapes_run.predict(paths)
    names = [str(path) for path in paths]
    for form in (
        iter(paths),
        (path for path in names),
        np.array(names),
        np.array(paths),
        dict.fromkeys(names).keys(),
        tuple(names),
    ):
        assert shapes_run.predict(form) == expected
    assert shapes_run.predict(iter([])) == []


def test_encoded_images_come_as_bytes_and_as_open_files(shapes_run, image, tmp_path):
    path, _ = image
    data = path.read_bytes()
    expected = shapes_run.predict(path)
    for form in (data, bytearray(data), memoryview(data), io.BytesIO(data)):
        assert shapes_run.predict(form).probabilities == expected.probabilities
    with open(path, "rb") as file:
        assert shapes_run.predict(file) == expected  # which has a name
    with open(path, encoding="latin-1") as file, pytest.raises(InputError, match=r'open\(path, "rb"\)'):
        shapes_run.predict(file)
    with pytest.raises(InputError, match=r"^0: is not a JPEG"):
        shapes_run.predict(b"nothing")


def test_kinds_may_be_mixed_and_keep_their_order(shapes_run, shapes, monkeypatch):
    monkeypatch.setattr(module, "CHUNK", 4)
    paths = [sorted((shapes / name).iterdir())[3] for name in ("cross", "square", "stripes")]
    expected = [prediction.probabilities for prediction in shapes_run.predict(paths)]
    with Image.open(paths[1]) as file:
        decoded = file.copy()
    mixed = [decoded, str(paths[0]), b"nothing", paths[2].read_bytes(), np.asarray(decoded), paths[2]]
    found = shapes_run.predict(mixed)
    assert [prediction.name for prediction in found] == ["0", str(paths[0]), "2", "3", "4", str(paths[2])]
    assert found[2].error
    assert found[2].probabilities is None
    for position, wanted in ((0, 1), (1, 0), (3, 2), (4, 1), (5, 2)):
        assert found[position].probabilities == pytest.approx(expected[wanted], abs=1e-6)


def test_any_number_of_files_is_read_by_the_chunk(shapes_run, shapes, tmp_path, monkeypatch):
    monkeypatch.setattr(module, "CHUNK", 3)
    bad = tmp_path / "bad.png"
    bad.write_text("no image")
    paths = [str(path) for path in sorted((shapes / "cross").iterdir())[:7]]
    paths.insert(4, str(bad))
    told = []
    predictions = list(shapes_run.predict_each(paths, lambda done, total: told.append((done, total))))
    assert [prediction.name for prediction in predictions] == paths
    assert [prediction.error is None for prediction in predictions] == [path != str(bad) for path in paths]
    assert told == [(3, 8), (6, 8), (8, 8)]
    for path, prediction in zip(paths, predictions, strict=True):
        if path != str(bad):
            assert dict(prediction.top) == pytest.approx(dict(shapes_run.predict(path).top), abs=1e-6)


def test_samples_tell_how_far_they_lie_apart(shapes_run, digits_run, image):
    path, pixels = image
    first, again, plain = (shapes_run.predict(form, samples=20) for form in (path, pixels, [path]))
    assert first.top == again.top
    assert first.disagreement == again.disagreement == plain[0].disagreement > 0
    assert first.to_json()["disagreement"] == first.disagreement
    assert first.confidence != shapes_run.predict(path).confidence
    with pytest.raises(InputError, match=r"samples: nothing in the network of .* is random"):
        digits_run.predict(pixels, samples=5)  # without dropout there is nothing to sample
    for samples in (0, -1, 2.5, True):
        with pytest.raises(InputError, match="samples: must be a whole number of at least 1"):
            shapes_run.predict(pixels, samples=samples)


def test_samples_are_calibrated_too(shapes_run, image):
    from seewhy.metrics import apply_temperature
    from seewhy.models.predictor import view_probabilities
    from seewhy.nn import monte_carlo

    images = torch.from_numpy(image[1].copy()).permute(2, 0, 1)[None]
    views = shapes_run.predictor.views
    model = shapes_run.model
    passes = monte_carlo(model, images, 4, probabilities=lambda x: view_probabilities(model, x, views)).samples
    expected = apply_temperature(passes.mean(0), shapes_run.record["temperature"])[0]
    top = dict(shapes_run.predict(image[1], samples=4).top)
    assert top == pytest.approx(dict(zip(shapes_run.classes, expected.tolist(), strict=True)), abs=1e-6)


def test_a_run_knows_what_it_is(shapes_run):
    assert shapes_run.classes == ("cross", "square", "stripes")
    assert 0 <= shapes_run.results["test"]["accuracy"] <= 1
    assert shapes_run.metrics[-1]["epoch"] == 2
    assert shapes_run.facts.shape == (3, 16, 16)
    assert shapes_run.members == ()
    assert repr(shapes_run) == f"seewhy.Run({str(shapes_run.folder)!r})"
    assert seewhy.Run(shapes_run.folder).results == shapes_run.results
    shapes_run.release()
    assert shapes_run.predictor is shapes_run.predictor


def test_a_damaged_file_is_named(shapes_run, tmp_path):
    import shutil

    shutil.copytree(shapes_run.folder, tmp_path / "run")
    (tmp_path / "run" / "results.json").write_text("{")
    with pytest.raises(InputError, match=r"results\.json: is damaged"):
        seewhy.Run(tmp_path / "run").results  # noqa: B018


def test_what_a_classifier_cannot_do_is_refused(shapes_run, image):
    for call in (
        lambda: shapes_run.sample(3),
        lambda: shapes_run.complete(image[1]),
        lambda: shapes_run.reconstruct(image[1]),
        lambda: shapes_run.interpolate(image[1], image[1]),
        lambda: shapes_run.traverse(),
        lambda: shapes_run.sample_quality(),
    ):
        with pytest.raises(InputError, match=r"is a run of convnet, which cannot .*; that is for .*(vae|pixelcnn)"):
            call()
