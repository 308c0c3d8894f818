"""A run folder that was damaged or edited: it works, or a clear error names what is wrong; never a traceback of something else."""

import json
import shutil

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

import seewhy
from run_cases import MLP
from seewhy import api
from seewhy.cli.main import run as command

READ = ("request.toml", "spec.toml", "data.json", "metrics.csv", "results.json", "record.json", "events.jsonl")
POINTERS = ("checkpoint/last.json", "checkpoint/best.json")
PIXELS = np.zeros((2, 8, 8), dtype=np.uint8)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("damage") / "run"
    api.train("digits", out=path, **{**MLP, "epochs": 0.3, "batch_size": 200})
    return path


@pytest.fixture(scope="module")
def copy(folder, tmp_path_factory):
    """Return a function that puts the whole run back and returns where."""
    place = tmp_path_factory.mktemp("copy") / "run"

    def fresh():
        shutil.rmtree(place, ignore_errors=True)
        shutil.copytree(folder, place)
        return place

    return fresh


def use(place, *, report=False):
    """Do what people do with a run."""
    run = seewhy.Run(place)
    read = run.request, run.results, run.record, run.metrics, run.events, run.data, run.facts, run.classes
    assert all(part is not None for part in read)
    for prediction in run.predict(list(PIXELS)):
        assert (prediction.label is None) == (prediction.error is not None)
    if report:
        run.report()


def either(action):
    """Do something that may be refused; return the message of the refusal."""
    try:
        action()
    except (seewhy.InputError, seewhy.RunError) as error:
        return str(error)
    return None


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=4,
)


@settings(max_examples=60, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(name=st.sampled_from(READ + POINTERS), data=st.data())
def test_bytes_that_changed_are_read_or_refused(copy, name, data):
    place = copy()
    file = place / name
    content = bytearray(file.read_bytes())
    kind = data.draw(st.sampled_from(["cut", "flip", "put", "zero"]))
    at = data.draw(st.integers(0, len(content) - 1))
    if kind == "cut":
        content = content[:at]
    elif kind == "flip":
        content[at] ^= 1 << data.draw(st.integers(0, 7))
    elif kind == "put":
        content[at:at] = data.draw(st.binary(min_size=1, max_size=6))
    else:
        content[at:] = bytes(len(content) - at)
    file.write_bytes(bytes(content))
    either(lambda: use(place))


@settings(max_examples=30, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(name=st.sampled_from(["data.json", "results.json", "record.json", *POINTERS]), data=st.data())
def test_values_that_changed_are_read_or_refused(copy, name, data):
    place = copy()
    value = json.loads((place / name).read_text(encoding="utf-8"))
    at, keys = value, []
    while isinstance(at, dict) and at and (not keys or data.draw(st.booleans())):
        keys.append(data.draw(st.sampled_from(sorted(at))))
        parent, at = at, at[keys[-1]]
    parent[keys[-1]] = data.draw(JSON)
    (place / name).write_text(json.dumps(value), encoding="utf-8")
    either(lambda: use(place, report=True))


@pytest.mark.parametrize("name", [*READ, *POINTERS])
@pytest.mark.parametrize("how", ["removed", "empty", "folder", "not text"])
def test_a_file_that_is_none_is_read_or_refused(copy, name, how):
    place = copy()
    (place / name).unlink()
    if how == "empty":
        (place / name).write_text("")
    elif how == "folder":
        (place / name).mkdir()
    elif how == "not text":
        (place / name).write_bytes(b"\xff\xfe\x00\x80")
    message = either(lambda: use(place, report=True))
    unread = name == "checkpoint/last.json"  # predictions are by the best
    if not unread and (
        how == "folder" or (how == "not text" and name != "events.jsonl")
    ):  # lines that are none are left out
        assert message is not None
        assert name in message


@pytest.mark.parametrize("value", ["[]", "3", "null", '"a"', "[" * 100_000, '{"a": ', "NaN"])
def test_json_that_is_no_table_is_named(copy, value):
    place = copy()
    (place / "results.json").write_text(value)
    assert "results.json: is damaged" in either(lambda: use(place))


@pytest.mark.parametrize(
    "change",
    [
        lambda data: data.update(mean=[1.0, 2.0]),
        lambda data: data.update(std=[0.0]),
        lambda data: data.update(std=["a"]),
        lambda data: data.update(classes="ab"),
        lambda data: data.update(classes=[1, 2]),
        lambda data: data.pop("facts"),
        lambda data: data["facts"].update(height="8"),
        lambda data: data["facts"].update(height=0),
        lambda data: data["facts"].update(height=10**12),
        lambda data: data.update(classes=[]),
        lambda data: data["facts"].update(more=1),
    ],
)
def test_data_that_cannot_be_are_refused(copy, change):
    place = copy()
    value = json.loads((place / "data.json").read_text())
    change(value)
    (place / "data.json").write_text(json.dumps(value))
    assert "data.json: is damaged" in either(lambda: use(place))


def test_weights_of_another_network_are_refused(copy):
    place = copy()
    value = json.loads((place / "data.json").read_text())
    value["facts"].update(height=9)
    (place / "data.json").write_text(json.dumps(value))
    assert "the weights are of another network than spec.toml and data.json describe" in either(lambda: use(place))


@pytest.mark.parametrize("place", [None, 3, "", b"run", ["run"], "a\0b", "x" * 300])
def test_what_is_no_folder_is_refused(place):
    for work in (
        lambda: seewhy.Run(place),
        lambda: api.resume(place),
    ):
        assert either(work) is not None
    if place is not None:
        assert "out" in either(lambda: api.train("digits", out=place, **MLP))


def test_outputs_that_are_not_finite_are_no_predictions(folder, capsys, tmp_path):
    run = seewhy.Run(folder)
    with torch.no_grad():
        for parameter in run.model.parameters():
            parameter.fill_(float("nan"))
    found = run.predict(list(PIXELS))
    assert [(one.label, one.confidence, one.probabilities) for one in found] == [(None, None, None)] * 2
    assert "not finite" in found[0].error
    with pytest.raises(seewhy.InputError, match="not finite"):
        run.predict(PIXELS[0])
    Image.fromarray(PIXELS[0]).save(tmp_path / "a.png")
    assert next(run.predict_each([str(tmp_path / "a.png")])).error is not None


def test_the_command_says_it_in_one_sentence(copy, capsys):
    place = copy()
    (place / "data.json").write_text("{}")
    assert command(["predict", str(place), __file__]) == 2
    printed = capsys.readouterr().err
    assert printed.startswith("seewhy predict: ")
    assert printed.count("\n") == 1
