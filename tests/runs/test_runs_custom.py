"""Runs of a user's own network: trained like any other, and opened only by those who trust its code."""

import custom_nets
import pytest

from run_cases import assert_same_bits, stop_after
from seewhy import api
from seewhy.core import trust
from seewhy.core.errors import InputError, RunError
from seewhy.runs.run import Run

OPTIONS = {"epochs": 2.0, "batch_size": 40, "precision": "fp32", "train.threads": 1, "watch": False}
REFUSED = r"model\.factory: a file asks to import small from custom_nets, which runs that module's code; if you trust it, say --trust"


@pytest.fixture(scope="module")
def whole(shapes, tmp_path_factory):
    return api.train(shapes, model=custom_nets.small, out=tmp_path_factory.mktemp("custom") / "run", **OPTIONS)


def test_a_function_and_its_name_are_the_same_run(whole, shapes, tmp_path):
    assert whole.spec.model.factory == "custom_nets:small"
    named = api.train(shapes, model="custom_nets:small", out=tmp_path / "run", **OPTIONS)
    assert_same_bits(named.folder, whole.folder)
    assert named.results == whole.results


def test_a_stopped_run_goes_on_to_the_same_bits(whole, shapes, tmp_path):
    with pytest.raises(RunError, match="stopped at step 4 of"):
        api.train(shapes, model=custom_nets.small, out=tmp_path / "run", stop=stop_after(4), **OPTIONS)
    api.resume(tmp_path / "run", watch=False)
    assert_same_bits(tmp_path / "run", whole.folder)


def test_a_strangers_run_imports_nothing_without_trust(whole, shapes, tmp_path, monkeypatch):
    monkeypatch.setattr(trust, "_trusted", set())
    image = next(shapes.rglob("*.png"))
    run = Run(whole.folder)
    assert run.results["val"]["accuracy"] == whole.results["val"]["accuracy"]  # files are read
    for use in (
        lambda: run.predict(image),
        lambda: run.features(image),
        lambda: api.resume(whole.folder, epochs=3.0),
        lambda: api.train(spec=whole.folder, out=tmp_path / "again"),
        lambda: api.train(shapes, initial_weights=whole.folder, out=tmp_path / "again"),
    ):
        with pytest.raises(InputError, match=REFUSED):
            use()
    assert Run(whole.folder, trust=True).predict(image).label == whole.predict(image).label


def test_a_request_that_names_a_factory_is_trained_with_trust(whole, tmp_path, monkeypatch):
    monkeypatch.setattr(trust, "_trusted", set())
    again = api.train(spec=whole.folder, out=tmp_path / "again", trust=True, watch=False)
    assert_same_bits(again.folder, whole.folder)


@pytest.mark.parametrize(
    ("model", "message"),
    [
        ("custom_nets:wrong_logits", r"must return logits \(2, 3\) of 2 images, got \(2, 4\)"),
        ("custom_nets:no_module", r"must return a torch\.nn\.Module, got int"),
        ("custom_nets:failing", r"custom_nets:failing\(\(3, 16, 16\), 3\) fails: KeyError: 'channels'"),
        ("custom_nets:absent", r"custom_nets:absent cannot be imported: AttributeError"),
        ("no_such_module:make", r"no_such_module:make cannot be imported: ModuleNotFoundError"),
        ("custom", r"model\.factory: is required"),
        (lambda shape, classes: None, r"model: must be a function or class at the top of a module"),
    ],
)
def test_wrong_factories_are_refused(model, message, shapes, tmp_path):
    with pytest.raises(InputError, match=message):
        api.train(shapes, model=model, out=tmp_path / "run", **OPTIONS)
    assert not (tmp_path / "run").exists()
