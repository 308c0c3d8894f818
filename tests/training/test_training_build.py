"""From a request to a job: the order of refusals, errors that name the fields of a run, bootstrap samples, cycles."""

import pytest

from seewhy.core.errors import InputError
from seewhy.data import DecodeOptions
from seewhy.spec import DataSection, Request
from seewhy.training.build import (
    absolute_source,
    at_edge,
    cycle_ends,
    data_options,
    load_data,
    prepare,
    prepare_again,
)

FIELDS = {
    name: None if field.is_required() else field.get_default() for name, field in DataSection.model_fields.items()
}
QUICK = {"model": "mlp", "width": 4, "epochs": 1.0, "train.device": "cpu", "train.precision": "fp32"}


def ignore(event):
    pass


def test_errors_of_parts_name_the_fields_of_a_run():
    with pytest.raises(InputError, match=r"^optim\.lr: must be above 0, got -1$"), at_edge("optim"):
        raise InputError("lr: must be above 0, got -1")
    with pytest.raises(InputError, match=r"^data\.split_seed: must be"), at_edge("data"):
        raise InputError("seed: must be 0 or more")
    with pytest.raises(InputError, match=r"^/photos/a\.png: is no image$"), at_edge("data"):
        raise InputError("/photos/a.png: is no image")
    with pytest.raises(ValueError, match=r"^lr: mine$"), at_edge("optim"):
        raise ValueError("lr: mine")


def test_the_fields_of_the_data_become_options_of_its_parts():
    options = data_options({**FIELDS, "resolution": 16, "channels": 1, "split_seed": 3, "val_fraction": 0.2})
    decode, split = options["decode"], options["split"]
    assert decode == DecodeOptions(resolution=16, channels=1, cache="pixels")
    assert (split.val_fraction, split.test_fraction, split.seed) == (0.2, 0.15, 3)
    with pytest.raises(InputError, match=r"^data\.resolution: "):
        data_options({**FIELDS, "resolution": 0})


def test_a_bootstrap_sample_repeats_images_and_belongs_to_the_seed():
    def names(seed):
        return sorted(load_data("digits", FIELDS, "required", ignore, seed).train.names)

    plain, one, same, other = names(None), names(1), names(1), names(2)
    assert len(one) == len(plain)
    assert one == same != other
    assert set(one) < set(plain)
    assert 0.6 < len(set(one)) / len(plain) < 0.67  # 1 - 1/e


def test_a_source_means_the_same_from_any_working_directory(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert absolute_source("digits") == "digits"
    assert absolute_source("photos") == str(tmp_path / "photos")


def test_cycles_end_with_the_run():
    assert cycle_ends(10, 3) == [3, 6, 10]
    assert cycle_ends(7, 1) == [7]
    with pytest.raises(InputError, match=r"train\.snapshots: must be at most the number of steps \(2\), got 3"):
        cycle_ends(2, 3)


def test_what_depends_on_the_machine_is_settled_with_its_reason():
    prepared = prepare(Request.make("digits", {"model": "mlp", "width": 4, "epochs": 1.0}), ignore)
    train = prepared.spec.train
    assert train.device in ("cpu", "cuda", "mps")
    assert train.precision in ("bf16", "fp32")
    assert train.threads >= 1
    assert prepared.resolution.reasons["train.device"] == "this machine"
    assert prepared.images_per_second > 0
    exact = prepare(Request.make("digits", {**QUICK, "optimizer": "lbfgs", "train.precision": None}), ignore)
    assert exact.spec.train.precision == "fp32"
    assert exact.resolution.reasons["train.precision"] == "a line search"


def test_a_run_that_goes_on_is_the_run_that_was_resolved():
    request = Request.make("digits", QUICK)
    first = prepare(request, ignore)
    again = prepare_again(first.resolution, ignore)
    assert again.spec == first.spec
    assert again.facts == first.facts
    ours, theirs = again.model.state_dict(), first.model.state_dict()
    assert all((ours[name] == value).all() for name, value in theirs.items())


def test_a_budget_in_minutes_becomes_epochs_by_the_measured_speed():
    request = Request.make("digits", {**QUICK, "epochs": None, "minutes": 0.05})
    prepared = prepare(request, ignore)
    assert prepared.spec.train.minutes is None
    assert prepared.spec.train.epochs > 0
    assert "0.05 minutes at " in prepared.resolution.reasons["train.epochs"]
