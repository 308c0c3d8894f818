"""An evaluation counts no image that the run has learnt from: images are known by their pixels, whatever their files are called."""

import json
import shutil

import numpy as np
import pytest
from PIL import Image

import seewhy
from run_cases import MLP
from seewhy import api
from seewhy.cli.main import run as command

OPTIONS = {**MLP, "epochs": 3.0, "batch_size": 20}


def noise(folder, count, seed, names=("a", "b")):
    """Write images of noise, which can only be memorised."""
    generator = np.random.default_rng(seed)
    for name in names:
        (folder / name).mkdir(parents=True, exist_ok=True)
        for number in range(count):
            Image.fromarray(generator.integers(0, 256, (8, 8), dtype=np.uint8)).save(
                folder / name / f"{seed}-{number:03d}.png"
            )


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    home = tmp_path_factory.mktemp("seen")
    noise(home / "data", 50, 0)
    return api.train(home / "data", out=home / "run", **OPTIONS)


def test_of_a_copy_only_what_is_new_counts(trained, tmp_path, capsys):
    source = tmp_path / "copy"
    shutil.copytree(trained.spec.source, source)
    for number, path in enumerate(sorted(source.rglob("*.png"))):
        path.rename(path.with_name(f"other-{number}.png"))
    with pytest.warns(UserWarning, match=r"84 of 100 images of .*copy are left out, since the run was trained or val"):
        figures = trained.evaluate(source)
    assert figures.n == 16 == trained.results["test"]["n"]
    assert figures.accuracy == trained.results["test"]["accuracy"]
    assert command(["evaluate", str(trained.folder), str(source), "--json"]) == 0
    printed = capsys.readouterr()
    assert json.loads(printed.out)["n"] == 16
    assert printed.err.startswith("note: 84 of 100 images")


def test_other_pictures_of_the_same_pixels_are_known(trained, tmp_path):
    """A copy in another format, which loses nothing, is the same image."""
    for path in sorted((trained.folder.parent / "data").rglob("*.png")):
        target = tmp_path / "bmp" / path.parent.name / f"{path.stem}.bmp"
        target.parent.mkdir(parents=True, exist_ok=True)
        Image.open(path).save(target)
    with pytest.warns(UserWarning, match="84 of 100 images"):
        assert trained.evaluate(tmp_path / "bmp").n == 16


def test_its_own_folder_after_renaming_and_adding(tmp_path):
    noise(tmp_path / "data", 50, 0)
    run = api.train(tmp_path / "data", out=tmp_path / "run", **OPTIONS)
    first = run.evaluate()
    for number, path in enumerate(sorted((tmp_path / "data").rglob("*.png"), reverse=True)):
        path.rename(path.with_name(f"{number:04d}.png"))
    noise(tmp_path / "data", 20, 1)
    with (
        pytest.warns(UserWarning, match="have changed since the run was started"),
        pytest.warns(UserWarning, match="are left out"),
    ):
        figures = run.evaluate()
    assert figures.n < 40
    kept = json.loads((tmp_path / "run" / "results.json").read_text())["test"]
    assert first.accuracy == kept["accuracy"]
    assert np.load(tmp_path / "run" / "predictions" / "test.npz")["labels"].shape == (first.n,)  # not overwritten


def test_nothing_but_seen_images_is_refused(trained, tmp_path):
    seen = trained.folder.parent / "data"
    names = {path.read_bytes() for path in seen.rglob("*.png")}
    split = np.load(trained.folder / "predictions" / "val.npz")["names"]
    for name in split:
        target = tmp_path / "only" / name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(seen / name, target)
    assert names
    with pytest.raises(seewhy.InputError, match=r"trained or validated on all \d+ images"):
        trained.evaluate(tmp_path / "only")


def test_a_folder_of_one_class_has_a_recall(trained, tmp_path):
    noise(tmp_path / "new", 12, 7, names=("b",))
    figures = trained.evaluate(tmp_path / "new")
    assert (figures.n, [row["n"] for row in figures.per_class]) == (12, [0, 12])
    assert figures.per_class[1]["recall"] == figures.accuracy


def test_without_test_images_the_figure_is_said_to_be_chosen_by(tmp_path, capsys):
    noise(tmp_path / "data", 50, 0)
    run = api.train(tmp_path / "data", out=tmp_path / "run", **OPTIONS, **{"data.test_fraction": 0.0})
    with pytest.warns(UserWarning, match="by which the best epoch and the temperature were chosen"):
        assert run.evaluate().split == "val"
    assert command(["train", "--resume", str(run.folder), "--quiet"]) == 0
    assert "images, by which the best epoch was chosen\n" in capsys.readouterr().out
    assert "hold out test images" in (run.folder / "report.html").read_text()


def test_a_figure_over_several_views_is_told_from_those_of_the_epochs(tmp_path, capsys):
    noise(tmp_path / "data", 50, 0)
    words = [
        "--model",
        "mlp",
        "--epochs",
        "1",
        "--batch-size",
        "20",
        "--reg.flip",
        "random",
        "--train.tta",
        "flip",
        "--quiet",
    ]
    assert command(["train", str(tmp_path / "data"), *words, "--out", str(tmp_path / "run")]) == 0
    said = "; over several views of each image, the epochs' figures over one (train.tta flip)\n"
    assert capsys.readouterr().out.count(said) == 1


def test_what_was_seen_is_needed(trained, tmp_path):
    folder = tmp_path / "run"
    shutil.copytree(trained.folder, folder)
    (folder / "images.npz").write_bytes(b"PK\x03\x04 no archive")
    noise(tmp_path / "new", 3, 8)
    with pytest.raises(seewhy.InputError, match=r"images\.npz: is damaged or missing"):
        seewhy.Run(folder).evaluate(tmp_path / "new")
