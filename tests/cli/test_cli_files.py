"""Files that commands read and write where a person names them: nothing is written over, and what cannot be read is named."""

import io
import json
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from seewhy.cli.main import run
from seewhy.comparison.quality import Sampling
from seewhy.core import trust


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    folder = tmp_path_factory.mktemp("files") / "run"
    words = ["train", "digits", "--model", "mlp", "--epochs", "0.2", "--batch-size", "200", "--quiet", "--out"]
    assert run([*words, str(folder)]) == 0
    return folder


@pytest.mark.parametrize(
    ("words", "name"),
    [
        ("explain RUN none.png --out", "a.png"),
        ("check digits --show", "a.png"),
        ("generate sample none --out", "a.png"),
        ("export RUN --out", "a.onnx"),
        ("compare digits --vary optimizer=sgd,adam --export", "a.csv"),
        ("claims C10 --quick --report", "a.html"),
        ("diagnose none --sarif", "a.sarif"),
        ("techniques flip --show --out", "a.png"),
    ],
)
def test_no_command_writes_over_a_file_that_is_named(words, name, trained, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    Path(name).write_text("kept")
    assert run([str(trained) if word == "RUN" else word for word in words.split()] + [name]) == 2
    said = capsys.readouterr().err
    assert f"{name} exists already and is not overwritten; choose another name" in said
    assert Path(name).read_text() == "kept"
    assert [path.name for path in tmp_path.iterdir()] == [name]


def test_every_command_that_builds_a_network_of_ones_own_takes_trust(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    code = "from torch import nn\n\ndef made(shape, classes):\n    return nn.Sequential(nn.Flatten(), nn.Linear(64, classes))\n"
    Path("own_net.py").write_text(code)
    model = ["--model", "own_net:made", "--epochs", "0.2", "--batch-size", "200"]
    assert run(["train", "digits", *model, "--quiet", "--no-watch", "--out", "mine"]) == 0
    Image.new("L", (8, 8)).save("a.png")
    for line in (
        "export mine --format torch --out a.pt2",
        "explain mine a.png --nearest 0 --no-check --method occlusion",
        "predict mine a.png",
        "diagnose --spec mine digits",
        "compare digits --model gan --vary model.width=8,16 --metric fid --extractor mine --dry-run",
    ):
        monkeypatch.setattr(trust, "_trusted", set())
        assert run(line.split()) == 2
        assert "if you trust it, say --trust" in capsys.readouterr().err
        assert run([*line.split(), "--trust"]) == 0
    assert "--trust" in Sampling(10, "mine").command(Path("run"))
    monkeypatch.setattr(trust, "_trusted", set())
    assert "--trust" not in Sampling(10, "mine").command(Path("run"))


@pytest.fixture
def odd(tmp_path):
    """A folder of two images and a file between them that is none."""
    folder = tmp_path / "odd"
    folder.mkdir()
    for name in ("a.png", "c.png"):
        Image.new("L", (8, 8), 99).save(folder / name)
    (folder / "b.png").write_text("no image")
    return folder


EXPLAIN = ["--nearest", "0", "--no-check", "--method", "occlusion"]


def test_explain_goes_on_past_an_image_that_cannot_be_read(odd, trained, capsys):
    assert run(["explain", str(trained), str(odd), *EXPLAIN]) == 1
    printed = capsys.readouterr()
    assert f"{odd / 'a.png'}  " in printed.out
    assert f"{odd / 'c.png'}  " in printed.out
    assert f"{odd / 'b.png'}  error: " in printed.out
    assert "no explanation for 1 of 3 images" in printed.err
    assert run(["explain", str(trained), str(odd), *EXPLAIN, "--json"]) == 1
    found = json.loads(capsys.readouterr().out)
    assert [Path(one["name"]).name for one in found["images"]] == ["a.png", "c.png"]
    assert [Path(one["name"]).name for one in found["errors"]] == ["b.png"]
    assert run(["explain", str(trained), str(odd / "b.png"), *EXPLAIN]) == 2


def test_a_run_without_images_to_evaluate_has_no_mistakes_to_explain(tmp_path, capsys):
    words = ["--model", "mlp", "--epochs", "1", "--batch-size", "8", "--quiet", "--no-watch"]
    arrays = tmp_path / "two.npz"
    np.savez(arrays, images=np.arange(16 * 64, dtype=np.uint8).reshape(16, 8, 8), labels=np.arange(16) % 2)
    none = ["--data.val_fraction", "0", "--data.test_fraction", "0"]
    assert run(["train", str(arrays), *words, *none, "--out", str(tmp_path / "run")]) == 0
    capsys.readouterr()
    assert run(["explain", str(tmp_path / "run")]) == 2
    assert "has no validation or test images" in capsys.readouterr().err


@pytest.mark.parametrize("command", ["predict", "explain"])
def test_stdin_that_names_nothing_is_told_and_an_image_on_it_refused(command, odd, trained, monkeypatch, capsys):
    monkeypatch.setattr(sys, "stdin", io.StringIO("\n"))
    assert run([command, str(trained), "-"]) == (0 if command == "predict" else 2)
    assert "no images were named on stdin" in capsys.readouterr().err
    for form in ("PNG", "JPEG", "BMP", "WEBP", "TIFF", "GIF"):
        image = odd / "image"
        Image.new("L", (8, 8), 99).save(image, format=form)
        stdin = io.TextIOWrapper(io.BytesIO(image.read_bytes()), encoding="utf-8", errors="surrogateescape")
        monkeypatch.setattr(sys, "stdin", stdin)
        assert run([command, str(trained), "-"]) == 2
        printed = capsys.readouterr()
        assert "looks like an image, not a list of paths" in printed.err
        assert printed.out == ""


def test_a_file_that_is_named_like_an_option_is_known(trained, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    Image.new("L", (8, 8), 99).save("-x.png")
    with pytest.raises(SystemExit) as stop:
        run(["predict", str(trained), "-x.png"])
    assert stop.value.code == 2
    assert "-x.png: is taken for an option; as a file it is ./-x.png" in capsys.readouterr().err
    assert run(["predict", str(trained), "./-x.png"]) == 0


def test_predictions_of_a_file_need_one_that_can_be_read(tmp_path, capsys):
    (tmp_path / "a.pt2").write_bytes(b"PK")
    Image.new("L", (8, 8), 99).save(tmp_path / "a.png")
    assert run(["predict", str(tmp_path / "a.pt2"), str(tmp_path / "a.png")]) == 2
    assert "a.pt2: of files only .onnx are predicted with" in capsys.readouterr().err
