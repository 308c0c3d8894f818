"""What the pages compute is what Python computes; what they are sent may be anything."""

import base64
import io
import json
import os
import re
import shlex
import shutil

import numpy as np
import pytest
import torch
from PIL import Image
from web_cases import bomb, client_of, events_of, png

import seewhy
from seewhy.cli.commands import train
from seewhy.cli.main import Parser
from seewhy.cli.options import spec_options
from seewhy.data.image_files import to_pixels
from seewhy.reporting.images import image_grid
from seewhy.spec import Request
from seewhy.web import uploads
from seewhy.web.places import Places

PAGES = {
    "/": "3 runs",
    "/run/0/mlp": "Learning",
    "/run/0/vae": "Generate images",
    "/classify/0/mlp": "Drop images here",
    "/generate/0/vae": "Latent dimensions",
    "/generate/0/pixels": "The rest of an image",
    "/compare?run=0/vae&run=0/pixels": "Validation loss",
    "/new": "Start a run",
    "/check": "Check data",
}


@pytest.mark.parametrize("path", PAGES)
def test_pages_show(client, path):
    answer = client.get(path)
    assert answer.status_code == 200
    assert PAGES[path] in answer.text
    assert "http://" not in answer.text.replace("http://www.w3.org", "")
    assert "https://" not in answer.text


def pixels_of(uri):
    """Return the pixels of a data URI."""
    return np.atleast_3d(np.asarray(Image.open(io.BytesIO(base64.b64decode(uri.partition(",")[2])))))


def text_of(data):
    return base64.b64encode(data).decode()


# Classify.


def test_probabilities_are_those_of_the_run(client, home):
    data = png(3)
    found = client.post("/api/classify/0/mlp", params={"name": "a.png"}, content=data).json()
    known = seewhy.Run(home / "runs/mlp").predict(data)
    assert found["name"] == "a.png"
    assert found["label"] == known.label
    assert found["confidence"] == pytest.approx(known.confidence, abs=1e-6)
    assert [name for name, _ in found["top"]] == [name for name, _ in known.top]


def test_maps_and_neighbours_are_those_of_the_run(client, home):
    data = png(3)
    found = client.post("/api/explain/0/mlp", params={"method": "occlusion"}, content=data).json()
    known = seewhy.Run(home / "runs/mlp").explain(data, method="occlusion", nearest=6).images[0].shown
    assert found["class"] == known.explained
    assert [each["name"] for each in found["nearest"]] == [each.name for each in known.neighbours]
    np.testing.assert_array_equal(pixels_of(found["nearest"][0]["image"]), known.neighbours[0].image)
    assert [each["name"] for each in found["maps"]] == ["occlusion"]
    assert client.post("/api/explain/0/mlp", params={"method": "magic"}, content=data).status_code == 422


BAD = {
    "nothing": (b"", "empty"),
    "a text": (b"<script>alert(1)</script>", "not a JPEG"),
    "half": (png(0, 64)[:200], "truncated|damaged"),
    "a bomb": (bomb(), "too many pixels"),
}


@pytest.mark.parametrize("what", BAD)
def test_what_is_no_image_is_refused_in_words(client, what):
    data, words = BAD[what]
    answer = client.post("/api/classify/0/mlp", params={"name": "<b>x"}, content=data)
    assert answer.status_code == 422
    assert answer.headers["content-type"] == "application/json"
    assert re.search(words, answer.json()["error"])


def test_a_page_takes_fewer_pixels_than_a_data_set(client):
    assert seewhy.data.decode_file(bomb(9_000), resolution=8, channels=1).shape == (1, 8, 8)
    answer = client.post("/api/classify/0/mlp", content=bomb(9_000))
    assert "67,108,864" in answer.json()["error"]


def test_large_bodies_are_refused_unread(client, monkeypatch):
    monkeypatch.setattr(uploads, "BYTES", 1000)
    assert client.post("/api/classify/0/mlp", content=b"x" * 70_000_000).status_code == 413

    def endless():
        while True:
            yield b"x" * 100_000

    chunks = (chunk for chunk, _ in zip(endless(), range(1000), strict=False))
    assert client.post("/api/classify/0/mlp", content=chunks).status_code == 413


def test_a_run_of_another_kind_is_refused(client):
    assert "does not classify" in client.get("/classify/0/vae").text
    assert client.get("/classify/0/vae").status_code == 422
    assert client.post("/api/classify/0/vae", content=png()).status_code == 422
    assert client.get("/generate/0/mlp").status_code == 422
    assert client.get("/classify/0/none").status_code == 404


# Generate.


def test_samples_are_those_of_the_run(client, home):
    asked = {"n": 5, "seed": 7, "label": "3", "temperature": 0.5}
    found = client.post("/api/sample/0/vae", json=asked).json()
    images = seewhy.Run(home / "runs/vae").sample(5, seed=7, label="3", temperature=0.5)
    np.testing.assert_array_equal(pixels_of(found["sheet"]), image_grid(to_pixels(images), fill=128))


@pytest.mark.parametrize(
    ("asked", "field"),
    [
        ({"n": 0}, "n"),
        ({"n": 101}, "n"),
        ({"n": True}, "n"),
        ({"seed": -1}, "seed"),
        ({"temperature": "hot"}, "temperature"),
        ({"temperature": -1}, "temperature"),
        ({"label": "ten"}, "label"),
        ({"label": 3}, "label"),
        ([], "body"),
    ],
)
def test_wrong_wishes_are_refused_by_name(client, asked, field):
    answer = client.post("/api/sample/0/vae", json=asked)
    assert answer.status_code == 422
    assert answer.json()["error"].startswith(f"{field}:")


def test_a_latent_becomes_its_image(client, home):
    run = seewhy.Run(home / "runs/vae")
    axes = client.post("/api/axes/0/vae", json={}).json()
    assert axes["order"] == run.record["order"]
    assert axes["kl"] == run.record["kl"]
    assert axes["start"] == [0.0] * 6
    latent = [0.5, -1.0, 0.0, 2.0, 0.0, 1.0]
    answer = client.post("/api/decode/0/vae", json={"latents": latent, "label": "4"})
    height, width, channels = map(int, answer.headers["x-shape"].split(","))
    shown = np.frombuffer(answer.content, np.uint8).reshape(height, width, channels)
    np.testing.assert_array_equal(shown, to_pixels(run.decode([latent], label="4"))[0])
    for wrong in ([1.0], [True] * 6, "x", None, ["1"] * 6):
        assert client.post("/api/decode/0/vae", json={"latents": wrong}).status_code == 422


@pytest.mark.parametrize("path", ["sample/0/vae", "decode/0/vae", "complete/0/pixels"])
def test_a_number_that_no_machine_holds_is_refused(client, path):
    number = "1" + "0" * 400
    body = f'{{"temperature": {number}, "latents": [{number}], "rows": {number}}}'
    assert client.post(f"/api/{path}", content=body).status_code == 422


def test_uploads_are_encoded_interpolated_and_completed(client, home):
    run, first, last = seewhy.Run(home / "runs/vae"), png(1), png(2)
    found = client.post("/api/encode/0/vae", json={"image": text_of(first), "label": "1"}).json()
    assert found["latents"] == pytest.approx(run.encode(first, label="1")[0].tolist(), abs=1e-6)
    found = client.post(
        "/api/interpolate/0/vae", json={"start": text_of(first), "end": text_of(last), "label": "1"}
    ).json()
    images = run.interpolate(first, last, label="1")
    np.testing.assert_array_equal(pixels_of(found["sheet"]), image_grid(to_pixels(images), columns=9, fill=128))
    found = client.post("/api/complete/0/pixels", json={"image": text_of(first), "rows": 4, "label": "1"}).json()
    sheet = pixels_of(found["sheet"])
    given = np.atleast_3d(np.asarray(Image.open(io.BytesIO(first))))[:4]
    levels = seewhy.Run(home / "runs/pixels").spec.model.levels
    for k in range(1, 9):  # kept, as the model's intensity levels have it
        kept = sheet[:4, 9 * k : 9 * k + 8].astype(int)
        assert np.abs(kept - given).max() <= 256 / levels
    for wrong in (
        {"image": "?"},
        {"image": 3},
        {"image": text_of(first), "rows": "4"},
        {"image": text_of(bomb()), "rows": 4},
    ):
        assert client.post("/api/complete/0/pixels", json=wrong).status_code == 422


def test_an_autoencoder_has_axes_of_its_own(tmp_path):
    run = seewhy.train(
        "digits", model="autoencoder", epochs=0.3, width=8, out=tmp_path / "run", **{"model.latent_dim": 3}
    )
    axes = run.axes()
    latents = run.encode(seewhy.data.load_dataset("digits").train.images(torch.arange(1000)))
    np.testing.assert_allclose(axes.deviations, latents.std(0), rtol=0.1)
    assert list(axes.order) == sorted(range(3), key=lambda d: -axes.deviations[d])
    assert axes.kl == ()


# Run.


def test_events_end_with_the_run(client):
    answer = client.get("/api/events/0/mlp")
    assert answer.headers["content-type"].startswith("text/event-stream")
    (line,) = [each for each in answer.text.split("\n\n") if each]
    now = json.loads(line.removeprefix("data: "))
    assert now["state"] == "ended"
    assert now["step"] == now["total"]


def test_a_run_that_has_ended_cannot_be_stopped(client, home):
    answer = client.post("/api/stop/0/mlp")
    assert answer.status_code == 422
    assert "is not being trained" in answer.json()["error"]
    assert not (home / "runs/mlp/stop").exists()
    answer = client.post("/api/go-on/0/mlp")
    assert answer.status_code == 422
    assert "is ended, and cannot go on" in answer.json()["error"]


def test_runs_are_removed_but_not_while_they_are_trained(home, tmp_path):
    shutil.copytree(home / "runs/mlp", tmp_path / "runs/old")
    shutil.copytree(home / "runs/mlp", tmp_path / "runs/young")
    (tmp_path / "runs/young/results.json").unlink()
    events = (tmp_path / "runs/young/events.jsonl").read_text().splitlines()
    started = [line for line in events if '"run_ended"' not in line]
    (tmp_path / "runs/young/events.jsonl").write_text("\n".join(started) + "\n")
    with client_of(Places((tmp_path / "runs",))) as client:
        assert client.post("/api/remove/0/young").status_code == 422
        assert client.post("/api/remove/0/old").status_code == 200
        assert client.post("/api/remove/0/old").status_code == 404
        assert client.post("/api/remove/0").status_code == 404
    assert [path.name for path in (tmp_path / "runs").iterdir()] == ["young"]


@pytest.mark.parametrize("runs", [[], ["0/mlp"], ["0/mlp"] * 3, ["0/mlp", "0/none"], [f"0/{k}" for k in range(5)]])
def test_some_runs_are_compared(client, runs):
    assert client.get("/compare", params={"run": runs}).status_code in (404, 422)


# New.


def asked(source="digits", out="new", **options):
    return {"source": source, "out": out, "options": options}


WISHES = [
    asked(),
    asked(**{"model.name": "mlp", "train.epochs": "2.5", "optim.lr": "1e-3", "reg.flip": "none"}),
    asked(
        **{
            "model.name": "vae",
            "model.beta": "4",
            "model.conditional": "true",
            "optim.name": "adam",
            "optim.betas": "0.9,0.99",
        }
    ),
    asked(**{"reg.resized_crop": "0.35", "train.minutes": "1", "model.activation": "elu"}),
    asked(out="it's a <run>"),
]


@pytest.mark.parametrize("wish", WISHES)
def test_the_command_asks_for_what_the_form_asks_for(client, wish):
    found = client.post("/api/ask", json=wish).json()
    assert found["problems"] == []
    program, command, *words = shlex.split(found["command"])
    assert (program, command) == ("seewhy", "train")
    parser = Parser()
    train.describe(parser, words)
    options = parser.parse_args(words)
    wanted = Request.make("digits", {path: seewhy_value(path, text) for path, text in wish["options"].items()})
    assert Request.make(options.source, spec_options(options)) == wanted
    assert options.out.endswith(wish["out"])


def seewhy_value(path, text):
    """Return a text as the value that it stands for, read by hand."""
    numbers = {
        "train.epochs": float,
        "optim.lr": float,
        "model.beta": float,
        "reg.resized_crop": float,
        "train.minutes": float,
    }
    if path == "optim.betas":
        return tuple(map(float, text.split(",")))
    return text == "true" if path == "model.conditional" else numbers.get(path, str)(text)


PROBLEMS = {
    "source": asked(source="/etc"),
    "out": asked(out="../x"),
    "train.epochs": asked(**{"train.epochs": "three"}),
    "model.beta": asked(**{"model.name": "mlp", "model.beta": "4"}),
    "model.factory": asked(**{"model.factory": "os:system"}),
    "ensemble.edits": asked(**{"ensemble.edits": 'model.factory = "os:system"'}),
    "model.name": asked(**{"model.name": "os:system"}),
    "data.labels": asked(**{"data.labels": "/etc/passwd"}),
    "train.initial_weights": asked(**{"train.initial_weights": "/etc@0123456789abcdef"}),
    "model.weights": asked(**{"model.name": "timm", "model.backbone": "resnet18", "model.weights": "/etc/passwd"}),
    "train.nothing": asked(**{"train.nothing": "1"}),
    "optim.lr": asked(**{"optim.lr": ["1"]}),
}


@pytest.mark.parametrize("field", PROBLEMS)
def test_problems_are_named_by_field_and_start_nothing(client, home, field):
    found = client.post("/api/ask", json=PROBLEMS[field]).json()
    assert found["command"] is None
    assert any(line.startswith(f"{field}:") for line in found["problems"]), found
    assert client.post("/api/start", json=PROBLEMS[field]).status_code in (404, 422)
    assert client.post("/api/plan", json=PROBLEMS[field]).status_code in (404, 422)
    assert sorted(path.name for path in (home / "runs").iterdir()) == ["mlp", "pixels", "vae"]


def test_the_form_has_the_fields_of_the_model(client):
    def paths(**query):
        sections = client.get("/api/fields", params=query).json()["sections"]
        return {each["path"]: each for section in sections for each in section["fields"]}

    vae, plain = paths(model="vae"), paths(model="nonsense")
    assert "model.beta" in vae
    assert "reg.dropout" not in vae
    assert "reg.dropout" in plain
    assert vae["model.beta"]["placeholder"] == "1"
    assert vae["model.conditional"]["choices"] == ["true", "false"]
    assert "tanh" in vae["model.activation"]["choices"]
    assert not {"model.factory", "ensemble.edits"} & plain.keys()


# Check.


def test_a_check_shows_the_images_in_question(home, shapes):
    folder = home / "data" / "photos"
    shutil.copytree(shapes, folder)
    shutil.copy(folder / "cross/000.png", folder / "square/<img>.png")
    (folder / "cross/broken.png").write_bytes(b"no image")
    with client_of(Places((home / "runs",), (home / "data",))) as client:
        found = events_of(client.get("/api/check", params={"source": str(folder)}))[-1]
        kinds = {issue["kind"]: issue for issue in found["issues"]}
        assert kinds["unreadable"]["images"] == [{"name": "cross/broken.png", "image": None}]
        conflict = {each["name"]: each["image"] for each in kinds["conflicting labels"]["images"]}
        assert set(conflict) == {"cross/000.png", "square/<img>.png"}
        known = np.asarray(Image.open(folder / "cross/000.png"))
        np.testing.assert_array_equal(pixels_of(conflict["cross/000.png"]), known)
        assert client.get("/api/check", params={"source": "/etc"}).status_code == 404
        assert client.get("/api/check").status_code == 422
        wrong = events_of(client.get("/api/check", params={"source": str(home / "data/none")}))[-1]
        assert "error" in wrong


def test_a_page_waits_for_a_report_that_is_being_drawn(places, tmp_path):
    run = tmp_path / "runs" / "mlp"
    shutil.copytree(places.runs[0] / "mlp", run)
    with client_of(Places((tmp_path / "runs",))) as client:
        assert "data-soon" not in client.get("/run/0/mlp").text
        (run / "report.html").unlink()
        (run / "results.json").touch()
        assert "data-soon" in client.get("/run/0/mlp").text
        os.utime(run / "results.json", (1e9, 1e9))
        assert "data-soon" not in client.get("/run/0/mlp").text
