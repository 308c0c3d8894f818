"""Strict specifications: every wrong input is refused with a message that names the field and what is allowed."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from seewhy.core.errors import InputError
from seewhy.core.spec import fields_of
from seewhy.training.spec import ALIASES, RunSpec, make_spec

ACTIVATIONS = "relu, leaky_relu, prelu, elu, tanh, sigmoid, gelu, silu, maxout"
MODEL_FIELDS = "model has name, inputs, activation, pieces, keep_parameters, shared, init, init_std, norm, norm_init, width, depth, stem, pool"

BAD = [
    ({"activation": "rellu"}, f"model.activation: 'rellu' is not known; allowed: {ACTIVATIONS}; did you mean 'relu'?"),
    ({"activation": "ELU"}, f"model.activation: 'ELU' is not known; allowed: {ACTIVATIONS}; did you mean 'elu'?"),
    ({"activation": "spline"}, f"model.activation: 'spline' is not known; allowed: {ACTIVATIONS}"),
    (
        {"model": "resnt"},
        "model.name: 'resnt' is not known; allowed: "
        "mlp, convnet, resnet, pixelcnn, gated_pixelcnn, row_lstm, diagonal_bilstm, autoencoder, vae, gan; did you mean 'resnet'?",
    ),
    ({"optimizer": "adm"}, None),
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
    ({"ema": 1.0}, "train.ema: must be a number at least 0 and less than 1, got 1.0"),
    ({"width": 0}, "model.width: must be a number at least 1 and at most 65536, got 0"),
    ({"resolution": 2}, "data.resolution: must be a number at least 4 and at most 1024, got 2"),
    ({"data": {"channels": 2}}, "data.channels: must be 1 or 3, got 2"),
    ({"data": {"strict": "yes"}}, "data.strict: must be true or false, got 'yes'"),
    ({"data.cache": "disk"}, "data.cache: 'disk' is not known; allowed: pixels, bytes"),
    ({"widht": 3}, "widht: there is no such option; did you mean 'width'?"),
    (
        {"model.activaton": "elu"},
        f"model.activaton: there is no such field; {MODEL_FIELDS}; did you mean 'model.activation'?",
    ),
    ({"model.lr": 1.0}, f"model.lr: there is no such field; {MODEL_FIELDS}; did you mean 'optim.lr'?"),
    (
        {"modle.width": 1},
        "modle: there is no such field; a run has source, data, model, generator, reg, optim, train, ensemble; did you mean 'model'?",
    ),
    (
        {"epochs": 3, "train.epochs": 4},
        "train.epochs: is given twice, as 3 and as 4; give it once",
    ),
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
    ({"patience": 5, "epochs": 5}, "train.patience: must be less than train.epochs (5.0), got 5"),
    (
        {"model": "resnet", "model.stem": "whitening"},
        "model.stem: 'whitening' belongs to convnet, but model.name is 'resnet'; choose convnet or another stem",
    ),
    ({"model": "mlp", "model.stem": "small"}, "model.stem: an mlp has no stem, got 'small'; leave it out"),
    (
        {"model": "mlp", "init": "dirac"},
        "model.init: 'dirac' is for convolutions, but model.name is 'mlp'; choose he, xavier, lecun, orthogonal or normal",
    ),
    (
        {"activation": "elu", "model.keep_parameters": True},
        "model.keep_parameters: only maxout has more weights than others, but model.activation is elu; choose maxout or leave it out",
    ),
    (
        {"model.shared": True},
        "model.shared: only prelu has a slope to share, but model.activation is left to the defaults; choose prelu or leave it out",
    ),
    (
        {"init": "he", "model.init_std": 0.1},
        "model.init_std: only 'normal' has a fixed deviation, but model.init is he; choose normal or leave it out",
    ),
    (
        {"activation": "elu", "model.pieces": 3},
        "model.pieces: only maxout has pieces, but model.activation is elu; choose maxout or leave pieces out",
    ),
    (
        {"model": "mlp", "norm": "instance"},
        "model.norm: 'instance' normalises over the places of a map, but model.name is 'mlp'; choose batch, layer or group",
    ),
    (
        {"norm": "layer", "model.norm_init": "identity"},
        "model.norm_init: 'identity' is a start of batch normalisation, but model.norm is 'layer'; choose batch or standard",
    ),
    (
        {"reg.crop_padding": 2, "reg.resized_crop": 0.3},
        "reg.resized_crop: replaces the padded crop, but reg.crop_padding is 2; set that to 0 or leave one out",
    ),
    ({"reg.cutout": 4, "reg.erasing": 0.5}, "reg.cutout, reg.erasing: both make a hole in the image; choose one"),
    ({"reg.mixup": 0.2, "reg.cutmix": 1.0}, "reg.mixup, reg.cutmix: both mix pairs of images; choose one"),
    (
        {"ensemble.jobs": 2},
        "ensemble: edits and jobs belong to several members, but ensemble.members is 1; raise it or leave them out",
    ),
    (
        {"model.stem": "whitening", "resolution": 96},
        "model.stem: 'whitening' is for pictures of up to 64 pixels, but data.resolution is 96; choose 'large'",
    ),
    (
        {"optimizer": "adam", "optim.momentum": 0.9},
        "optim.momentum: adam has none, got 0.9; it belongs to muon, momentum, nesterov, rmsprop",
    ),
    (
        {"reg.hue": 0.1, "data.channels": 1},
        "reg.saturation, reg.hue: grey pictures have neither, but data.channels is 1; set both to 0",
    ),
    (
        {"train.tta": "flip", "flip": "none"},
        "train.tta: 'flip' averages over mirrored pictures, but reg.flip is 'none'; choose 'none' or let training flip",
    ),
    (
        {"resolution": 8, "reg.crop_padding": 8},
        "reg.crop_padding: must be less than data.resolution (8), got 8",
    ),
]


@pytest.mark.parametrize(("options", "message"), BAD, ids=lambda value: str(value)[:50])
def test_bad_input_is_refused_with_its_message(options, message):
    with pytest.raises(InputError) as caught:
        make_spec("digits", options)
    if message is not None:
        assert str(caught.value) == message


def test_optimiser_typo_offers_a_name():
    with pytest.raises(InputError, match=r"optim\.name: 'adm' is not known; allowed: .*did you mean 'adam"):
        make_spec("digits", {"optimizer": "adm"})


def test_every_wrong_field_is_named_at_once():
    with pytest.raises(InputError) as caught:
        make_spec("digits", {"epochs": -1, "activation": "foo"})
    lines = str(caught.value).split("\n")
    assert [line.split(":")[0] for line in lines] == ["model.activation", "train.epochs"]


def test_empty_source():
    with pytest.raises(InputError, match="source: must be a folder"):
        make_spec(" ", {})


def test_aliases_name_fields():
    assert set(ALIASES.values()) <= set(fields_of(RunSpec))


def test_every_field_has_a_description():
    assert all(info.description for info in fields_of(RunSpec).values())


def test_missing_file_and_bad_toml(tmp_path):
    with pytest.raises(InputError, match="cannot read the specification"):
        RunSpec.from_toml(tmp_path / "none.toml")
    (tmp_path / "bad.toml").write_text("source = ")
    with pytest.raises(InputError, match="is not valid TOML"):
        RunSpec.from_toml(tmp_path / "bad.toml")
    (tmp_path / "typo.toml").write_text('source = "digits"\n[train]\nepoch = 3\n')
    with pytest.raises(InputError, match=r"typo\.toml: train\.epoch: .*did you mean 'train\.epochs'"):
        RunSpec.from_toml(tmp_path / "typo.toml")
    (tmp_path / "empty.toml").write_text("")
    with pytest.raises(InputError, match="source: is required"):
        RunSpec.from_toml(tmp_path / "empty.toml")


small = st.floats(min_value=0, max_value=0.4, allow_subnormal=False)


@given(
    source=st.text(min_size=1).filter(
        lambda text: text.strip() and "\x00" not in text and not any(0xD800 <= ord(c) < 0xE000 for c in text)
    ),
    epochs=st.none() | st.floats(min_value=1e-3, max_value=1e6),
    lr=st.none() | st.floats(min_value=1e-30, max_value=1e30),
    seed=st.integers(min_value=0, max_value=2**63 - 1),
    smoothing=st.none() | small,
    strict=st.booleans(),
    activation=st.none() | st.sampled_from(["relu", "elu", "tanh"]),
)
def test_toml_round_trip_loses_nothing(tmp_path_factory, source, epochs, lr, seed, smoothing, strict, activation):
    spec = make_spec(
        source,
        {
            "epochs": epochs,
            "lr": lr,
            "seed": seed,
            "label_smoothing": smoothing,
            "data.strict": strict,
            "activation": activation,
        },
    )
    path = tmp_path_factory.getbasetemp() / "round-trip.toml"
    spec.save(path)
    assert RunSpec.from_toml(path) == spec


def test_specs_are_frozen_and_changes_make_copies():
    spec = make_spec("digits", {})
    with pytest.raises(ValueError, match="frozen"):
        spec.train.epochs = 3
    changed = spec.with_changes({"train.epochs": 3.0})
    assert (spec.train.epochs, changed.train.epochs) == (None, 3.0)
