"""Runs on a labels file: known again wherever they are used from, moved with their images, and different when the file says something else."""

import shutil

import numpy as np
import pytest
from PIL import Image
from sklearn.datasets import load_digits

from run_cases import MLP
from seewhy import api
from seewhy.core.errors import InputError
from seewhy.runs.run import Run


@pytest.fixture
def scans(tmp_path):
    """120 digits in one folder with a table inside: label, and a patient of each four."""
    root, digits = tmp_path / "here" / "scans", load_digits()
    root.mkdir(parents=True)
    lines = ["file,digit,patient"]
    for i in range(120):
        Image.fromarray((digits.images[i] * 15).astype(np.uint8)).save(root / f"{i:03}.png")
        lines.append(f"{i:03},{digits.target[i] % 2},p{i // 4}")
    (root / "labels.csv").write_text("\n".join(lines))
    return root


def test_a_run_on_a_table_is_used_from_anywhere(scans, tmp_path, monkeypatch):
    monkeypatch.chdir(scans.parent)
    options = {**MLP, "data.labels": "labels.csv", "data.group": "patient", "epochs": 1.0}
    run = api.train("scans", out=tmp_path / "run", **options)
    assert run.spec.data.labels == str(scans / "labels.csv")
    monkeypatch.chdir("/")
    with np.load(run.folder / "predictions" / "test.npz") as arrays:
        names = {int(str(name).split(".")[0]) for name in arrays["names"]}
    assert {i for i in range(120) if i // 4 in {name // 4 for name in names}} == names
    assert run.evaluate().n == len(names)
    text = (scans / "labels.csv").read_text()
    (scans / "labels.csv").write_text(text.replace("000,0,p0", "000,1,p0"))
    with pytest.raises(InputError, match="changed"):
        api.resume(run.folder, epochs=2.0)
    (scans / "labels.csv").write_text(text)
    moved = tmp_path / "there" / "scans"
    moved.parent.mkdir()
    shutil.move(scans, moved)
    with pytest.raises(InputError):
        api.resume(run.folder, epochs=2.0)
    again = api.resume(run.folder, source=moved, epochs=2.0)
    assert again.spec.data.labels == str(moved / "labels.csv")
    assert again.evaluate().n == len(names)


def test_members_find_the_table_from_anywhere(scans, tmp_path, monkeypatch):
    monkeypatch.chdir(scans.parent)
    options = {
        **MLP,
        "data.labels": "scans/labels.csv",
        "data.label_column": "digit",
        "epochs": 1.0,
        "members": 2,
        "ensemble.jobs": 2,
    }
    run = api.train("scans", out=tmp_path / "run", **options)
    assert {member.spec.data.labels for member in Run(run.folder).members} == {str(scans / "labels.csv")}
    asked = (run.folder / "members" / "01.toml").read_text()
    assert f'labels = "{scans / "labels.csv"}"' in asked
