"""Requests: what people write is made uniform, and everything that is wrong is said at once, with whose it is and what was meant."""

import dataclasses

import pytest
from hypothesis import given, settings
from spec_requests import requests

from seewhy.core.errors import InputError
from seewhy.spec import Request, build_request
from seewhy.spec.options import all_options, options_for
from seewhy.spec.tree import ALIASES, known_paths

ACTIVATIONS = "relu, leaky_relu, prelu, elu, tanh, sigmoid, gelu, silu, maxout"


def make(options):
    return Request.make("digits", options)


def message_of(options):
    with pytest.raises(InputError) as caught:
        make(options)
    return str(caught.value)


SAME = [
    ({"activation": "elu"}, {"model": {"activation": {"name": "elu"}}}),
    ({"model.activation": "elu"}, {"model": {"activation": {"name": "elu"}}}),
    ({"model.activation.name": "elu"}, {"model": {"activation": {"name": "elu"}}}),
    ({"model": {"activation": "elu"}}, {"model": {"activation": {"name": "elu"}}}),
    ({"activation": {"name": "elu", "alpha": 2.0}}, {"model": {"activation": {"name": "elu", "alpha": 2.0}}}),
    ({"activation": "elu", "model.activation.alpha": 2.0}, {"model": {"activation": {"name": "elu", "alpha": 2.0}}}),
    ({"reg.cutout": 8}, {"reg": {"cutout": {"size": 8}}}),
    ({"reg": {"cutout": {"size": 8}}}, {"reg": {"cutout": {"size": 8}}}),
    ({"reg.resized_crop": 0.35}, {"reg": {"resized_crop": {"scale": [0.35, 1.0]}}}),
    ({"reg.resized_crop.scale": 0.35}, {"reg": {"resized_crop": {"scale": [0.35, 1.0]}}}),
    ({"reg.resized_crop": (0.2, 0.9)}, {"reg": {"resized_crop": {"scale": [0.2, 0.9]}}}),
    (
        {"reg.erasing": 0.5, "reg.erasing.area": (0.1, 0.2)},
        {"reg": {"erasing": {"probability": 0.5, "area": [0.1, 0.2]}}},
    ),
    ({"model": "mlp", "width": 32}, {"model": {"name": "mlp", "width": 32}}),
    ({"model": {"name": "mlp", "width": 32}}, {"model": {"name": "mlp", "width": 32}}),
    ({"optimizer": "adam", "optim": {"betas": (0.5, 0.9)}}, {"optim": {"name": "adam", "betas": [0.5, 0.9]}}),
    ({"optim": "adam"}, {"optim": {"name": "adam"}}),
    ({"activation": None, "reg.cutout": "default", "train": {"epochs": None}}, {}),
    ({"data": {}, "reg.resized_crop": {}}, {}),
]


@pytest.mark.parametrize(("options", "values"), SAME, ids=[str(case[0]) for case in SAME])
def test_what_people_write_is_made_uniform(options, values):
    assert make(options).values == values
    assert make(options) == Request("digits", values)


def test_short_names_are_those_of_fields():
    assert set(ALIASES.values()) <= set(known_paths())
    assert {alias for option in all_options() for alias in option.aliases} == set(ALIASES)


def test_every_field_has_a_description():
    assert [option.path for option in all_options() if not option.info.description] == []


def test_options_follow_model_and_optimiser():
    paths = {option.path for option in options_for({"model": {"name": "vae"}, "optim": {"name": "sgd"}})}
    assert {"model.beta", "optim.lr", "reg.l1"} <= paths
    assert not {"model.stem", "optim.momentum", "reg.dropout", "ensemble.members"} & paths
    assert {"model.beta", "model.stem", "optim.history"} <= {option.path for option in all_options()}


ONE = [
    ({"activation": "rellu"}, f"model.activation: 'rellu' is not known; allowed: {ACTIVATIONS}; did you mean 'relu'?"),
    ({"activation": "ELU"}, f"model.activation: 'ELU' is not known; allowed: {ACTIVATIONS}; did you mean 'elu'?"),
    ({"activation": "spline"}, f"model.activation: 'spline' is not known; allowed: {ACTIVATIONS}"),
    (
        {"norm": "batchnorm"},
        "model.norm: 'batchnorm' is not known; allowed: batch, layer, group, instance, none; did you mean 'batch'?",
    ),
    ({"epochs": -1}, "train.epochs: must be a number greater than 0, got -1"),
    ({"epochs": "3"}, "train.epochs: must be a number, got '3'"),
    ({"epochs": float("nan")}, "train.epochs: must be a finite number, got nan"),
    ({"seed": 1.5}, "train.seed: must be a whole number, got 1.5"),
    ({"seed": -1}, "train.seed: must be a number at least 0, got -1"),
    ({"seed": True}, "train.seed: must be a whole number, got True"),
    ({"batch_size": 0}, "train.batch_size: must be a number at least 1, got 0"),
    ({"dropout": 1.0}, "reg.dropout: must be a number at least 0 and less than 1, got 1.0"),
    ({"label_smoothing": -0.1}, "reg.label_smoothing: must be a number at least 0 and less than 1, got -0.1"),
    ({"reg.hue": 0.9}, "reg.hue: must be a number at least 0 and at most 0.5, got 0.9"),
    ({"lr": 0}, "optim.lr: must be a number greater than 0, got 0"),
    ({"width": 0}, "model.width: must be a number at least 1 and at most 65536, got 0"),
    ({"activation": {"name": "elu", "alpha": -1}}, "model.activation.alpha: must be a number greater than 0, got -1"),
    (
        {"model.pool": {"name": "fractional", "ratio": 3.0}},
        "model.pool.ratio: must be a number greater than 1 and at most 2, got 3.0",
    ),
    ({"data": {"channels": 2}}, "data.channels: must be 1 or 3, got 2"),
    ({"data": {"strict": "yes"}}, "data.strict: must be true or false, got 'yes'"),
    ({"data.cache": "disk"}, "data.cache: 'disk' is not known; allowed: pixels, bytes, none"),
    ({"train": 3}, "train: must be a table of fields, got 3"),
    ({"width": {"a": 1}}, "model.width: must be a plain value, got a table; write model.width = ..."),
    ({"optimizer": "adam", "optim.betas": (0.9,)}, "optim.betas: must be a list of two numbers, got [0.9]"),
    ({"optimizer": "adam", "optim.betas": (0.9, 1.0)}, "optim.betas: must be a number less than 1, got 1.0"),
    ({"reg.resized_crop": 1.5}, "reg.resized_crop.scale: must be a number at most 1, got 1.5"),
    (
        {"reg.resized_crop": (0.9, 0.5)},
        "reg.resized_crop.scale: must be a list of two numbers, the smaller first, got [0.9, 0.5]",
    ),
    ({"reg.erasing.area": (0.1, 0.2)}, "reg.erasing.probability: is required; say which"),
    ({"epochs": 3, "train.epochs": 4}, "train.epochs: is given twice, as 3 and as 4; give it once"),
]

UNKNOWN = [
    ({"widht": 3}, "widht: there is no such option; did you mean 'width'?"),
    ({"pool": "max"}, "pool: there is no such option; did you mean 'model.pool'?"),
    ({"modle.width": 1}, "modle.width: there is no such option; did you mean 'model.width'?"),
    ({"train.epochs.x": 1}, "train.epochs.x: there is no such option; did you mean 'train.epochs'?"),
]

WHOSE = [
    (
        {"model": "vae", "label_smoothing": 0.1},
        "reg.label_smoothing: belongs to classifiers, pretrained, custom, but model.name is 'vae'; ",
    ),
    (
        {"model": "vae", "members": 3},
        "ensemble.members: belongs to classifiers, pretrained, custom, but model.name is 'vae'; ",
    ),
    (
        {"model": "gan", "model.beta": 2.0},
        "model.beta: belongs to vae, but model.name is 'gan'; choose it or leave this out",
    ),
    ({"model.beta": 2.0}, "model.beta: belongs to vae, but model.name is left to the defaults; "),
    ({"model": "mlp", "model.stem": "small"}, "model.stem: belongs to convnet, resnet, but model.name is 'mlp'; "),
    (
        {"model": "resnet", "model.stem": "whitening"},
        "model.stem: 'whitening' belongs to convnet, but model.name is 'resnet'; ",
    ),
    (
        {"model": "mlp", "init": "dirac"},
        "model.init: 'dirac' belongs to convnet, resnet, but model.name is 'mlp'; allowed: ",
    ),
    (
        {"model": "mlp", "norm": "instance"},
        "model.norm: 'instance' belongs to convnet, resnet, but model.name is 'mlp'; ",
    ),
    (
        {"activation": "elu", "model.activation.pieces": 3},
        "model.activation.pieces: belongs to maxout, but model.activation is 'elu'; choose it or leave this out",
    ),
    ({"init": "he", "model.init.std": 0.1}, "model.init.std: belongs to normal, but model.init is 'he'; "),
    (
        {"norm": "layer", "model.norm.init": "identity"},
        "model.norm.init: belongs to batch, but model.norm is 'layer'; ",
    ),
    (
        {"optimizer": "adam", "optim.momentum": 0.9},
        "optim.momentum: belongs to muon, momentum, nesterov, rmsprop, but optim.name is 'adam'; choose one of those or leave this out",
    ),
    ({"optim.history": 5}, "optim.history: belongs to lbfgs, but optim.name is left to the defaults; "),
    (
        {"optimizer": "lbfgs", "optim.weight_decay": 0.1},
        "optim.weight_decay: belongs to muon, sgd, momentum, nesterov, ",
    ),
]

RULES = [
    (
        {"epochs": 3.0, "minutes": 2.0},
        "train.minutes: cannot be 2.0 while train.epochs is 3.0; a budget is in epochs or in minutes: give one",
    ),
    (
        {"data": {"val_fraction": 0.5, "test_fraction": 0.5}},
        "data.test_fraction: 0.5 and data.val_fraction 0.5 leave no training images; their sum must be less than 1",
    ),
    (
        {"patience": 3, "data.val_fraction": 0.0},
        "train.patience: 3 needs validation data, but data.val_fraction is 0; raise it or leave patience out",
    ),
    (
        {"model": "gan", "patience": 5},
        "train.patience: a gan has no validation loss that could stop falling, got 5; leave it out",
    ),
    (
        {"reg.crop_padding": 2, "reg.resized_crop": 0.3},
        "reg.resized_crop: replaces the padded crop, but reg.crop_padding is 2; set that to 0 or leave one out",
    ),
    (
        {"reg.crop_padding": 2, "reg.resized_crop.ratio": (1.0, 2.0)},
        "reg.resized_crop: replaces the padded crop, but reg.crop_padding is 2; set that to 0 or leave one out",
    ),
    ({"reg.cutout": 4, "reg.erasing": 0.5}, "reg.cutout, reg.erasing: both erase a region of the image; choose one"),
    ({"reg.mixup": 0.2, "reg.cutmix": 1.0}, "reg.mixup, reg.cutmix: both mix pairs of images; choose one"),
    (
        {"ensemble.jobs": 2},
        "ensemble: edits and jobs belong to several members, but ensemble.members is 1; raise it or leave them out",
    ),
    (
        {"members": 2, "train.snapshots": 3},
        "train.snapshots: 3 snapshots of 2 members are one ensemble too many; choose one of the two",
    ),
    (
        {"model.stem": "whitening", "resolution": 96},
        "model.stem: 'whitening' is for images of up to 64 pixels, but data.resolution is 96; choose 'large'",
    ),
    (
        {"reg.hue": 0.1, "data.channels": 1},
        "reg.saturation, reg.hue: grey images have neither, but data.channels is 1; set both to 0",
    ),
    (
        {"train.tta": "flip", "flip": "none"},
        "train.tta: 'flip' averages over mirrored images, but reg.flip is 'none'; choose 'none' or let training flip",
    ),
    ({"resolution": 8, "reg.crop_padding": 8}, "reg.crop_padding: must be less than data.resolution (8), got 8"),
    (
        {"model": "vae", "optimizer": "lbfgs"},
        "optim.name: lbfgs is not for latent-variable models; choose a first-order optimiser",
    ),
    ({"optimizer": "lbfgs", "optim.c1": 0.95}, "optim.c1: must be less than optim.c2 (0.9), got 0.95"),
    ({"model": "pixelcnn", "model.kernel_size": 4}, "model.kernel_size: must be odd, so that it has a centre, got 4"),
    (
        {"reg.penalise_all": True},
        "reg.penalise_all: needs a penalty, but reg.l1 and reg.l2 are 0; raise one of them or leave it out",
    ),
]


@pytest.mark.parametrize(("options", "message"), [*ONE, *UNKNOWN, *RULES], ids=lambda value: str(value)[:50])
def test_bad_input_is_refused_with_its_message(options, message):
    assert message_of(options) == message


@pytest.mark.parametrize(("options", "message"), WHOSE, ids=lambda value: str(value)[:50])
def test_what_belongs_to_another_choice_is_refused_with_its_owner(options, message):
    assert message_of(options).startswith(message)


@pytest.mark.parametrize(
    ("options", "nearest"),
    [
        ({"model.activaton": "elu"}, "model.activation"),
        ({"model.lr": 1.0}, "optim.lr"),
        ({"train": {"epoch": 3}}, "train.epochs"),
        ({"activation": "elu", "model.activation.alph": 2.0}, "model.activation.alpha"),
        ({"reg.cutout": {"side": 3}}, "reg.cutout.size"),
        ({"model": "resnt"}, "resnet"),
        ({"optimizer": "adm"}, "adam"),
    ],
)
def test_unknown_fields_and_names_come_with_the_nearest(options, nearest):
    assert message_of(options).endswith(f"did you mean {nearest!r}?")


def test_everything_wrong_is_said_at_once_a_line_each():
    options = {"model": "gan", "model.beta": 2.0, "width": -1, "flip": "up", "lr": 0, "patience": 2}
    lines = message_of({**options, "reg.l3": 1, "reg.dropout": 0.5}).split("\n")
    paths = ["model.beta", "model.width", "optim.lr", "reg.dropout", "reg.flip", "reg.l3", "train.patience"]
    assert sorted(line.split(":")[0] for line in lines) == paths
    assert lines[-1].startswith("train.patience: a gan has no validation loss")  # rules see the fields that are right


@pytest.mark.parametrize("source", ["", " ", None, 3])
def test_a_source_is_needed(source):
    with pytest.raises(InputError, match=r"source: must be a folder, a built-in name or an \.npz file"):
        Request.make(source)


def test_another_name_starts_its_section_afresh():
    request = make({"model": "mlp", "width": 32, "activation": {"name": "elu", "alpha": 2.0}, "dropout": 0.5})
    assert request.with_changes({"model": "resnet"}).values == {"model": {"name": "resnet"}, "reg": {"dropout": 0.5}}
    assert request.with_changes({"model": "mlp"}) == request
    other = request.with_changes({"activation": "tanh"}).values["model"]
    assert other == {"name": "mlp", "width": 32, "activation": {"name": "tanh"}}
    assert request.with_changes({"model": None}).values == {"reg": {"dropout": 0.5}}


def test_another_optimiser_keeps_what_all_have():
    options = {"optimizer": "sgd", "lr": 0.1, "weight_decay": 0.1, "optim.schedule": "cosine", "optim.warmup": 0.1}
    changed = make(options).with_changes({"optimizer": "adam"})
    assert changed.values == {"optim": {"name": "adam", "schedule": "cosine", "warmup": 0.1}}


def test_a_name_may_join_what_was_asked_for_without_one():
    request = make({"width": 32, "model.activation.alpha": 2.0})
    named = request.with_changes({"model": "mlp", "activation": "elu"})
    assert named.values == {"model": {"name": "mlp", "width": 32, "activation": {"name": "elu", "alpha": 2.0}}}


def test_budgets_replace_each_other():
    assert make({"epochs": 3.0}).with_changes({"minutes": 2.0}).values == {"train": {"minutes": 2.0}}
    assert make({"minutes": 2.0}).with_changes({"epochs": 3.0}).values == {"train": {"epochs": 3.0}}
    assert make({"minutes": 2.0}).with_changes({"epochs": None}).values == {"train": {"minutes": 2.0}}


def test_requests_are_frozen_and_changes_make_others():
    values = {"train": {"epochs": 3.0}}
    request = Request("digits", values)
    with pytest.raises(dataclasses.FrozenInstanceError):
        request.source = "photos"
    changed = request.with_changes({"epochs": 4.0, "source": "photos"})
    values["train"]["epochs"] = 5.0
    assert (request.get("train.epochs"), request.source) == (3.0, "digits")
    assert (changed.get("train.epochs"), changed.source) == (4.0, "photos")
    assert request.asked() == {"train.epochs"}


def test_a_view_reads_what_was_asked_for_else_the_fields_own_default():
    view = make({"activation": "elu", "reg.resized_crop.ratio": (1.0, 2.0)}).view()
    assert view["model.activation"] == "elu"
    assert view["model.activation.alpha"] == 1.0
    assert view["reg.resized_crop"] == (0.08, 1.0)
    assert (view["train.epochs"], view["train.seed"], view["reg.cutout"], view["model.no"]) == (None, 0, None, None)
    assert (view.asked("model.activation"), view.asked("model.norm")) == (True, False)


@settings(max_examples=200, deadline=None)
@given(request=requests())
def test_toml_round_trip_loses_nothing(tmp_path_factory, request):
    path = tmp_path_factory.getbasetemp() / "round-trip.toml"
    request.save(path)
    assert Request.from_toml(path) == request


def test_bad_files_are_refused_with_their_name(tmp_path):
    def refused(text):
        path = tmp_path / "request.toml"
        path.write_text(text)
        with pytest.raises(InputError) as caught:
            Request.from_toml(path)
        return str(caught.value).removeprefix(f"{path}: ")

    with pytest.raises(InputError, match=r"none\.toml: cannot read the specification"):
        Request.from_toml(tmp_path / "none.toml")
    assert refused("source = ").startswith("is not valid TOML")
    assert refused("").startswith("source: must be a folder")
    assert refused('format = 3\nsource = "digits"') == "is of another version's format; this version reads format 2"
    wrong = refused('source = "digits"\n[train]\nepoch = 3\nseed = -1\n').split("\n")
    assert {line.split("train.")[1].split(":")[0] for line in wrong} == {"epoch", "seed"}
    assert all("request.toml" in line for line in wrong[1:])


def test_a_request_is_built_from_a_source_a_file_and_options(tmp_path):
    path = tmp_path / "mine.toml"
    make({"model": "mlp", "width": 32}).save(path)
    assert build_request("digits", None, {"epochs": 1.0}) == make({"epochs": 1.0})
    assert build_request(None, path, {}) == make({"model": "mlp", "width": 32})
    assert build_request("photos", path, {"width": 16}) == Request.make("photos", {"model": "mlp", "width": 16})
    with pytest.raises(InputError, match="source: is required"):
        build_request(None, None, {})
    with pytest.raises(InputError, match="is not a run folder"):
        build_request(None, tmp_path, {})
