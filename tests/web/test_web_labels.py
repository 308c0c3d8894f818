"""Labels that are probably wrong: which folder their runs have, how far these are, what is shown of them, and what is refused."""

import os
import shutil
import sys

import pytest
from web_cases import client_of, events_of

from seewhy.cli.commands import check as command
from seewhy.runs import checking
from seewhy.web.pages import check, labels
from seewhy.web.places import Places


@pytest.fixture
def home(tmp_path, shapes, monkeypatch):
    """A folder with data/shapes and no runs."""
    (tmp_path / "runs").mkdir()
    shutil.copytree(shapes, tmp_path / "data" / "shapes")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def client(home):
    with client_of(Places((home / "runs",), (home / "data",))) as client:
        yield client


SHAPES = {"source": "data/shapes", "folds": "2"}


def begun(home, name, source="data/shapes", folds=2):
    """Make a folder of runs for some data as `seewhy check` begins it."""
    folder = home / "runs" / name
    folder.mkdir()
    (folder / "1.toml").write_text(f'format = 2\nsource = "{source}"\n[data]\nfolds = {folds}\nfold = 1\n')
    return folder


def ended(folder, *rows):
    for k in (1, 2):
        (folder / str(k)).mkdir()
        (folder / str(k) / "results.json").write_text("{}")
    (folder / labels.LISTED).write_text("\n".join(["image,label,suggested,margin", *rows]) + "\n")


def first(client, **asked):
    return events_of(client.get("/api/labels", params={**SHAPES, **asked}))[0]


def test_the_constants_are_those_of_the_command():
    assert labels.LISTED == checking.LISTED
    assert check.MOST_FOLDS == checking.MOST_FOLDS
    assert check.FOLDS == command.FOLDS


def test_runs_for_other_data_keep_their_folder(home, client):
    assert first(client)["command"] == "seewhy check data/shapes --labels 2 --out runs/shapes-labels"
    begun(home, "shapes-labels", source="data/other")
    assert first(client)["command"].endswith("--out runs/shapes-labels-2")
    begun(home, "shapes-labels-2")
    assert first(client)["command"].endswith("--out runs/shapes-labels-2")
    assert first(client, folds="3")["command"].endswith("--out runs/shapes-labels-3")
    assert first(client, source="digits")["command"] == "seewhy check digits --labels 2 --out runs/digits-labels"


def test_what_is_suspicious_is_shown_with_its_images(home, client):
    ended(begun(home, "shapes-labels"), "cross/000.png,cross,square,0.9", "gone/<b>.png,stripes,cross,0.5")
    now, found = events_of(client.get("/api/labels", params=SHAPES))
    assert (now["state"], now["ended"], now["share"]) == ("ended", 2, 1.0)
    assert found["all"] == 2
    image, gone = found["suspicious"]
    assert image.pop("image").startswith("data:image/png;base64,")
    assert image == {"name": "cross/000.png", "label": "cross", "suggested": "square"}
    assert gone == {"name": "gone/<b>.png", "label": "stripes", "suggested": "cross", "image": None}
    ended(begun(home, "digits-labels", source="digits"))
    assert events_of(client.get("/api/labels", params={**SHAPES, "source": "digits"}))[1]["all"] == 0


def test_runs_are_followed_whoever_trains_them(home, client):
    folder = begun(home, "shapes-labels")
    (home / "runs/shapes-labels.log").write_text("training 2 runs\nseewhy check: it is too dark here\n")
    assert (first(client)["state"], first(client)["line"]) == ("stopped", "it is too dark here")
    assert "is not being trained" in client.post("/api/labels-stop", json=SHAPES).json()["error"]
    (folder / "1").mkdir()
    event = '{"event": "run_started", "step": 0, "total_steps": 8, "steps_per_epoch": 4, "time": 0}\n'
    (folder / "1" / "events.jsonl").write_text(event)
    state = labels.course(folder, 2, client.app.state.shared)
    assert (state["state"], state["ended"]) == ("training", 0)
    assert "goes on already" in client.post("/api/labels-start", json=SHAPES).json()["error"]
    assert client.post("/api/labels-stop", json=SHAPES).status_code == 200
    assert (folder / "stop").is_file()
    os.utime(folder / "1" / "events.jsonl", (1e9, 1e9))
    assert first(client)["state"] == "stopped"


def test_the_process_that_the_page_has_started_is_stopped(home, client, monkeypatch):
    sleep = "import time; print('seewhy check: on', flush=True); time.sleep(60)"
    monkeypatch.setattr("seewhy.web.starting._command", lambda _: [sys.executable, "-c", sleep])
    assert client.post("/api/labels-start", json=SHAPES).json() == {"started": "shapes-labels"}
    about, folder = client.app.state.shared, home / "runs/shapes-labels"
    assert labels.course(folder, 2, about)["state"] == "training"
    assert client.post("/api/labels-stop", json=SHAPES).status_code == 200
    assert about.started._processes[folder].wait(30) != 0
    assert (first(client)["state"], first(client)["line"]) == ("stopped", "")
    assert not folder.exists()


@pytest.mark.parametrize(
    ("asked", "status", "message"),
    [
        ({"folds": "1"}, 422, "folds: must be a number from 2 to 20, got '1'"),
        ({"folds": "21"}, 422, "folds: must be a number from 2 to 20"),
        ({"folds": "two"}, 422, "folds: must be a number from 2 to 20"),
        ({"source": ""}, 422, "source: must be a built-in name"),
        ({"source": "/etc"}, 404, "source: must be a built-in name, or lie in a folder that the page was given"),
    ],
)
def test_what_is_wrong_is_refused(client, asked, status, message):
    for answer in (
        client.get("/api/labels", params={**SHAPES, **asked}),
        client.post("/api/labels-start", json={**SHAPES, **asked}),
    ):
        assert answer.status_code == status
        assert message in answer.json()["error"]
