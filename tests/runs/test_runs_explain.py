"""Explanations of runs: maps and neighbours of images, of mistakes in the report, of ensembles, and what is refused."""

import json
import re
import shutil

import numpy as np
import pytest
from PIL import Image

from run_cases import MLP
from seewhy import api
from seewhy.cli.main import run as cli
from seewhy.core.errors import InputError
from seewhy.runs.explained import FOLDER
from seewhy.runs.run import Run

pytestmark = pytest.mark.usefixtures("drawn")


@pytest.fixture(scope="module")
def planted_images(tmp_path_factory):
    """Grey noise, in one class with a bright square at the upper left; the last training image of each is doubled in what is asked for."""
    home, rng = tmp_path_factory.mktemp("planted"), np.random.default_rng(0)
    for split, count in (("train", 40), ("val", 10), ("test", 10)):
        for name in ("plain", "square"):
            (home / split / name).mkdir(parents=True)
            for number in range(count):
                pixels = rng.integers(0, 100, (16, 16), dtype=np.uint8)
                if name == "square":
                    pixels[2:6, 2:6] += 150
                Image.fromarray(pixels).save(home / split / name / f"{number:02d}.png")
    return home


@pytest.fixture(scope="module")
def planted(planted_images, tmp_path_factory):
    options = {"model": "resnet", "width": 6, "depth": 1, "epochs": 4.0, "batch_size": 8, "precision": "fp32"}
    folder = tmp_path_factory.mktemp("explained") / "run"
    return api.train(planted_images, out=folder, watch=False, **options, **{"train.threads": 1})


def test_maps_point_at_the_square_and_a_copy_is_nearest(planted, planted_images):
    image = planted_images / "train" / "square" / "07.png"
    found = planted.explain(image, class_name="square")
    (one,) = found.images
    assert list(one.maps) == ["grad_cam", "integrated_gradients", "occlusion"]
    for name, values in one.maps.items():
        assert values.shape == (16, 16)
        row, column = np.unravel_index(values.argmax(), values.shape)
        assert max(row, column) < 8, name
        assert values[:8, :8].clip(0).sum() > 0.5 * values.clip(0).sum(), name
    first, second = one.shown.neighbours[:2]
    assert first.name.endswith("train/square/07.png")
    assert first.distance < 1e-4 < second.distance
    assert first.label == "square"
    assert np.array_equal(first.image, one.shown.image)
    assert found.layer is not None
    record = found.to_json()
    assert json.loads(json.dumps(record)) == record
    assert record["images"][0]["completeness"]["gap"] < 0.02 * abs(record["images"][0]["completeness"]["rise"])
    assert record["images"][0]["nearest"][0]["name"] == first.name
    assert set(record["sanity"]) == set(one.maps)
    assert str(found).count("with the maps of random weights") == 3


def test_features_are_kept_and_renewed_with_the_weights(planted, planted_images, monkeypatch):
    image = planted_images / "test" / "square" / "00.png"
    told = []
    before = planted.explain(image, check=False, method="grad_cam", progress=lambda *done: told.append(done))
    planted.explain(image, check=False, method="grad_cam", progress=lambda *done: told.append(done))
    assert told in ([], [(80, 80)])
    path = planted.folder / FOLDER / "features.safetensors"
    path.write_bytes(path.read_bytes()[:-4])
    after = planted.explain(image, check=False, method="grad_cam", progress=lambda *done: told.append(done))
    assert told[-1] == (80, 80)
    assert after.to_json() == before.to_json()
    weights = {name: value + 1e-3 for name, value in planted.weights().items()}
    monkeypatch.setattr(type(planted), "weights", lambda self: weights)
    planted.explain(image, check=False, method="grad_cam", progress=lambda *done: told.append(done))
    assert len([done for done in told if done == (80, 80)]) >= 2


def test_mistakes_stand_in_the_report(digits_run, tmp_path):
    run = Run(shutil.copytree(digits_run.folder, tmp_path / "run"))
    assert "Why the most confident mistakes" not in run.report().read_text()
    found = run.explain(nearest=2)
    assert [one.shown.name for one in found.images] == [row["name"] for row in run.record["mistakes"]][:6]
    assert all(one.shown.true != one.shown.predicted for one in found.images)
    text = (run.folder / "report.html").read_text()
    assert "Why the most confident mistakes" in text
    assert "Rank correlation with the maps of random weights" in text
    assert "truly" in text
    assert re.search(r"<image [^>]*\bhref=.data:image/png", text)
    record = json.loads((run.folder / "record.json").read_text())
    record["mistakes"][0]["confidence"] -= 0.1  # those of another end of the run
    (run.folder / "record.json").write_text(json.dumps(record))
    assert "Why the most confident mistakes" not in run.report().read_text()


def test_a_map_that_explains_nothing_is_said_to(digits_run, tmp_path, monkeypatch):
    """The map is the image's edges, whatever the weights are."""

    def edges(_network, images, *_others, **_options):
        grey = images.mean(1)
        return (grey - grey.roll(1, 1)).abs() + (grey - grey.roll(1, 2)).abs()

    monkeypatch.setattr("seewhy.models.explanation.occlusion", edges)
    run = Run(shutil.copytree(digits_run.folder, tmp_path / "run"))
    found = run.explain(nearest=0)
    assert not found.sanity["occlusion"].explains
    assert found.to_json()["sanity"]["occlusion"]["correlation"] == pytest.approx(1.0)
    assert found.sanity["integrated_gradients"].explains
    said = "this map barely changes when the weights are random"
    assert str(found).count(said) == 1
    assert f"occlusion: {said}" in str(found)
    text = (run.folder / "report.html").read_text()
    assert said in text
    assert "barely changes with" in text


def test_an_mlp_has_no_map_but_the_other_methods(plain_run, planted_images):
    image = planted_images / "test" / "plain" / "00.png"
    found = plain_run.explain(image, nearest=0, check=False)
    assert list(found.images[0].maps) == ["integrated_gradients", "occlusion"]
    assert "no feature map" in found.notes[0]
    with pytest.raises(InputError, match="no feature map"):
        plain_run.explain(image, method="grad_cam")


def test_an_ensembles_maps_are_the_means_of_its_members(planted_images, tmp_path):
    ensemble = api.train("digits", out=tmp_path / "run", members=2, epochs=1.0, watch=False, **MLP)
    image = planted_images / "test" / "plain" / "00.png"
    found = ensemble.explain(image, class_name="3", nearest=1)
    each = [member.explain(image, class_name="3", nearest=0, check=False) for member in ensemble.members]
    for name, values in found.images[0].maps.items():
        mean = np.mean([one.images[0].maps[name] for one in each], axis=0)
        np.testing.assert_allclose(values, mean, rtol=1e-4, atol=1e-6)
    assert found.images[0].rise == pytest.approx(np.mean([one.images[0].rise for one in each]), rel=1e-4)
    assert len(found.images[0].shown.neighbours) == 1


def test_data_that_are_gone_leave_the_neighbours_out(planted_images, planted, tmp_path):
    home = shutil.copytree(planted_images, tmp_path / "data")
    options = {"width": 4, "depth": 1, "epochs": 1.0, "batch_size": 16, "precision": "fp32", "model": "resnet"}
    run = api.train(home, out=tmp_path / "run", watch=False, **options, **{"train.threads": 1})
    image = shutil.copy(home / "test" / "plain" / "00.png", tmp_path / "image.png")
    (home / "train" / "plain" / "00.png").unlink()
    changed = run.explain(image, check=False, method="occlusion")
    assert "has changed since the run was started" in changed.notes[0]
    shutil.rmtree(home)
    gone = run.explain(image, check=False, method="occlusion")
    assert "cannot be read any more" in gone.notes[0]
    assert not gone.images[0].shown.neighbours


def refused(arguments, capsys):
    assert cli(["explain", *map(str, arguments)]) == 2
    return capsys.readouterr().err


def test_the_command_draws_and_prints(planted, planted_images, tmp_path, capsys):
    out = tmp_path / "why.svg"
    image = planted_images / "test" / "square" / "01.png"
    given = [planted.folder, "--method", "occlusion", image, "--out", out, "--json", "--no-check", "--nearest", "1"]
    assert cli(["explain", *map(str, given)]) == 0
    printed = json.loads(capsys.readouterr().out)
    assert printed["images"][0]["name"] == str(image)
    assert len(printed["images"][0]["nearest"]) == 1
    assert printed["sanity"] == {}
    assert "<image" in out.read_text()
    assert cli(["explain", str(planted.folder), str(image), "--method", "occlusion", "--nearest", "0"]) == 0
    assert "occlusion: " in capsys.readouterr().out
    with Image.open(planted.folder / FOLDER / "explanation.png") as picture:
        assert picture.width > 200


def test_the_command_refuses_what_is_wrong(planted, planted_images, tmp_path, capsys):
    image = planted_images / "test" / "square" / "01.png"
    assert "did you mean 'square'?" in refused([planted.folder, image, "--class", "sqare"], capsys)
    assert "did you mean 'grad_cam'?" in refused([planted.folder, image, "--method", "gradcam"], capsys)
    assert "layer: 'net.blocs' is not known" in refused([planted.folder, image, "--layer", "net.blocs"], capsys)
    assert "did you mean 'net.blocks" in refused([planted.folder, image, "--layer", "net.blocs"], capsys)
    assert "nearest: must be at least 0" in refused([planted.folder, image, "--nearest", "-1"], capsys)
    assert "out: must be a name that ends in .png" in refused([planted.folder, image, "--out", "why.gif"], capsys)
    (tmp_path / "broken.png").write_bytes(b"no image")
    assert "broken.png" in refused([planted.folder, tmp_path / "broken.png"], capsys)
    assert "no such file" in refused([planted.folder, tmp_path / "missing.png"], capsys).lower()
    generative = api.train("digits", out=tmp_path / "vae", model="vae", epochs=0.2, watch=False, width=8)
    message = refused([generative.folder, image], capsys)
    assert "is a run of vae, which cannot be explained by attribution maps; that is for mlp" in message
