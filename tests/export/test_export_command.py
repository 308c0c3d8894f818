"""`seewhy export`, and `seewhy predict` with what it has written."""

import json

import numpy as np
from export_cases import picture
from PIL import Image

from seewhy.cli.main import run


def test_the_command_prints_the_file_its_page_and_the_parity(make_run, tmp_path, capsys):
    file = tmp_path / "digits.pt2"
    assert run(["export", str(make_run("mlp").folder), "--format", "torch", "--out", str(file)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[:2] == [str(file), str(tmp_path / "digits.pt2.README.md")]
    assert lines[2].startswith("parity with the run in fp32: 18 inputs of sizes ")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["digits.pt2", "digits.pt2.README.md"]
    assert run(["export", str(make_run("mlp").folder), "--format", "torch", "--out", str(file)]) == 2
    assert "exists already and is not overwritten" in capsys.readouterr().err


def test_what_is_no_run_is_refused(tmp_path, capsys):
    assert run(["export", str(tmp_path)]) == 2
    assert "is not a run folder" in capsys.readouterr().err


def test_an_onnx_file_predicts_where_a_run_does(exported, make_run, tmp_path, capsys):
    for number, (height, width) in enumerate([(30, 40), (1, 1), (17, 9)]):
        Image.fromarray(picture(height, width, 3, number)).save(tmp_path / f"{number}.png")
    file = exported("convnet").file
    assert run(["predict", str(file), str(tmp_path), "--json"]) == 0
    ours = json.loads(capsys.readouterr().out)
    assert run(["predict", str(make_run("convnet").folder), str(tmp_path), "--json"]) == 0
    for own, theirs in zip(ours, json.loads(capsys.readouterr().out), strict=True):
        assert (own["name"], own["label"]) == (theirs["name"], theirs["label"])
        np.testing.assert_allclose(
            list(own["probabilities"].values()), list(theirs["probabilities"].values()), atol=0.01
        )
    assert run(["predict", str(file), str(tmp_path), "--samples", "3"]) == 2
    assert "samples: an exported network has nothing random in it" in capsys.readouterr().err
