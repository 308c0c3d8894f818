"""A resolved specification: where its values come from, its file, and what is refused of it."""

import dataclasses

import pytest
from spec_facts import DIGITS, SMALL_COLOUR, resolution_of, resolved

from seewhy.core.errors import InputError
from seewhy.spec import Default, Request, RunSpec, build_request, provenance, resolve


def test_where_values_come_from():
    request = Request.make("digits", {"epochs": 3.0, "activation": "elu", "model.norm.eps": 1e-3})
    found = resolution_of(request, DIGITS)
    origins = provenance(found.spec, request, found.reasons)
    assert origins.keys() == found.spec.flat().keys()
    assert origins["train.epochs"] == origins["model.activation.name"] == origins["model.norm.eps"] == "asked"
    assert origins["model.name"] == "chosen: images of up to 64 px"
    assert origins["train.batch_size"] == "chosen: 1,257 training images"
    assert origins["model.depth"] == origins["model.norm.name"] == "chosen"
    assert origins["train.seed"] == origins["model.activation.alpha"] == "default"


def test_budgets_say_why():
    def why(speed, **options):
        return resolution_of(Request.make("digits", options), SMALL_COLOUR, speed).reasons.get("train.epochs")

    assert why(1e6) == "10,000 training images"
    assert why(100.0) == "8.75 minutes at 100 images/s"
    assert why(1_000.0, minutes=5.0) == "5 minutes at 1,000 images/s"
    assert why(1_000.0, epochs=5.0) is None


def test_what_the_machine_settles_has_its_reason_unless_it_was_asked_for():
    changes = {"train.device": Default("cpu", "this machine"), "train.precision": Default("fp32", "this machine")}
    asked = resolve(Request.make("digits", {"device": "cpu", "epochs": 1.0}), DIGITS).settle(changes)
    assert (asked.spec.train.device, asked.spec.train.precision) == ("cpu", "fp32")
    assert "train.device" not in asked.reasons
    assert asked.reasons["train.precision"] == "this machine"


def test_a_specification_says_where_its_values_come_from():
    request = Request.make("digits", {"epochs": 3.0, "activation": "elu", "model.norm.eps": 1e-3, "reg.cutout": 4})
    lines = resolution_of(request, DIGITS).to_toml().split("\n")
    assert lines[:4] == ["format = 2", 'source = "digits"', "", "[data]"]
    for line in (
        "resolution = 8  # chosen: the images' own size",
        'name = "convnet"  # chosen: images of up to 64 px',
        'activation = { name = "elu", alpha = 1.0 }  # asked',
        'norm = { name = "batch", eps = 0.001, init = "standard" }  # asked',
        'pool = "max"  # default',
        "cutout = { size = 4 }  # asked",
        'name = "muon"  # chosen',
        "epochs = 3.0  # asked",
        "seed = 0  # default",
    ):
        assert line in lines
    plain = resolution_of(request, DIGITS).spec.to_toml()
    assert "#" not in plain


def test_a_specification_of_another_format_is_refused(tmp_path):
    path = tmp_path / "spec.toml"
    path.write_text('source = "digits"\n[model]\nname = "mlp"\nactivation = "relu"\npieces = 2\n')
    sentence = (
        f"{tmp_path}: is a run of format 1, but this version of seewhy reads format 2; "
        "open it with the version that made it, or train again"
    )
    for read in (lambda: RunSpec.from_toml(path), lambda: build_request(None, tmp_path, {})):
        with pytest.raises(InputError) as caught:
            read()
        assert str(caught.value) == sentence


def test_a_damaged_specification_names_what_is_missing(tmp_path):
    path = tmp_path / "spec.toml"
    text = resolution_of(Request.make("digits", {"model": "mlp"}), DIGITS).spec.to_toml()
    path.write_text(
        text.replace("width = 512\n", "")
        .replace('norm = { name = "batch", ', "norm = { ")
        .replace("[ensemble]", "[ensemble]\nnumber = 1")
    )
    with pytest.raises(InputError) as caught:
        RunSpec.from_toml(path)
    lines = str(caught.value).split("\n")
    assert {line.removeprefix(f"{path}: ").split(":")[0] for line in lines} == {
        "model.norm",
        "model.width",
        "ensemble.number",
    }


def test_a_run_is_repeated_or_edited(tmp_path):
    request = Request.make("digits", {"model": "mlp", "epochs": 2.0})
    found = resolution_of(request, DIGITS)
    (tmp_path / "spec.toml").write_text(found.to_toml())
    request.save(tmp_path / "request.toml")
    for start in (tmp_path, tmp_path / "spec.toml"):
        assert build_request(None, start, {}) == found.spec.request()
        changed = build_request(None, start, {"optimizer": "adam"})
        assert changed == request.with_changes({"optimizer": "adam"})


def test_specifications_are_frozen_and_replace_makes_others():
    spec = resolved()
    with pytest.raises(ValueError, match="frozen"):
        spec.train.epochs = 3.0
    with pytest.raises(dataclasses.FrozenInstanceError):
        spec.source = "photos"
    other = spec.replace({"train.epochs": 3.0, "source": "photos", "data.val_fraction": None})
    assert (other.train.epochs, other.source, spec.source) == (3.0, "photos", "digits")
    assert other.model == spec.model
    with pytest.raises(InputError, match=r"train\.epochs: must be a number greater than 0"):
        spec.replace({"train.epochs": 0})
