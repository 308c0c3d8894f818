"""Files that commands read and write where a person names them: nothing is written over, and what cannot be read is named."""

from pathlib import Path

import pytest
from PIL import Image

from seewhy.cli.main import run
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
    model = ["--model", "custom_nets:small", "--epochs", "0.2", "--batch-size", "200"]
    assert run(["train", "digits", *model, "--quiet", "--no-watch", "--out", "mine"]) == 0
    Image.new("L", (8, 8)).save("a.png")
    for line in (
        "export mine --format torch --out a.pt2",
        "explain mine a.png --nearest 0 --no-check --method occlusion",
        "predict mine a.png",
        "diagnose --spec mine digits",
    ):
        monkeypatch.setattr(trust, "_trusted", set())
        assert run(line.split()) == 2
        assert "if you trust it, say --trust" in capsys.readouterr().err
        assert run([*line.split(), "--trust"]) == 0
