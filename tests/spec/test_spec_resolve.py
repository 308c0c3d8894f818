"""What is chosen where nothing was asked for: by data, model and optimiser, with its reason; and that it can be asked for again."""

import dataclasses
import itertools

import pytest
from hypothesis import assume, given, settings
from spec_requests import requests

from seewhy.core.errors import InputError
from seewhy.spec import (
    DataFacts,
    Default,
    Request,
    RunSpec,
    build_request,
    estimate_seconds,
    family_of,
    model_names,
    provenance,
    resolve,
    resolve_budget,
)
from seewhy.spec.classifiers import batch_size, crop_padding, initial_resolution, usual_epochs
from seewhy.spec.optimizers import OPTIMIZERS
from seewhy.spec.resolve import DEFAULT_MINUTES
from seewhy.spec.section import name_of

SMALL_COLOUR = DataFacts(32, 32, 3, 10, 10_000, 1_000, 2_000, flip_invariant=True)
DIGITS = DataFacts(8, 8, 1, 10, 1_257, 180, 360, flip_invariant=False)
LARGE_COLOUR = DataFacts(128, 128, 3, 5, 3_000, 300, 500, flip_invariant=True)
FACTS = {"digits": DIGITS, "small colour": SMALL_COLOUR, "large colour": LARGE_COLOUR}


def facts(**changes):
    """Facts of a small coloured data set, with some of them replaced."""
    return dataclasses.replace(SMALL_COLOUR, **changes)


def resolution_of(request, about=SMALL_COLOUR, speed=1_000.0):
    return resolve_budget(resolve(request, about), about, speed)


def resolved(about=SMALL_COLOUR, speed=1_000.0, **options):
    return resolution_of(Request.make("digits", options), about, speed).spec


def seconds_of(spec, about, speed):
    return estimate_seconds(spec, about, speed, spec.train.epochs)


# Asked for again.


def every_run():
    """Yield every model with every optimiser that can train it."""
    optimizers = (None, *OPTIMIZERS)
    for model, optimizer in itertools.product((None, *model_names()), optimizers):
        if optimizer is None or model is None or family_of(model).closures or not optimizer.closure:
            named = {"model": model, "optimizer": None if optimizer is None else name_of(optimizer)}
            yield {name: value for name, value in named.items() if value is not None}


@pytest.mark.parametrize("about", FACTS.values(), ids=list(FACTS))
@pytest.mark.parametrize("options", list(every_run()), ids=lambda options: "-".join(options.values()) or "default")
def test_what_was_resolved_is_resolved_to_itself(options, about, tmp_path):
    first = resolution_of(Request.make("digits", options), about)
    again = resolution_of(first.spec.request(), about, speed=1.0)
    assert again.spec == first.spec
    assert again.reasons == {}
    path = tmp_path / "spec.toml"
    path.write_text(first.to_toml(), encoding="utf-8")
    assert RunSpec.from_toml(path) == first.spec


@settings(max_examples=150, deadline=None)
@given(request=requests())
def test_whatever_can_be_resolved_is_resolved_to_itself(request):
    try:
        first = resolution_of(request, LARGE_COLOUR)
    except InputError:
        assume(False)
    assert resolution_of(first.spec.request(), LARGE_COLOUR, speed=1.0).spec == first.spec
    flat = first.spec.flat()
    for path in request.asked() - {"train.minutes"}:
        assert flat[path] == request.get(path)


@pytest.mark.parametrize("count", [2, 4, 15])
def test_tiny_data_resolve_to_a_run_that_can_be_repeated(count):
    about = facts(train_images=count, val_images=0, test_images=2, classes=2)
    spec = resolved(about)
    assert 1 <= spec.train.batch_size <= count
    assert resolution_of(spec.request(), about, 1.0).spec == spec


# What an edit brings with it.


def edited(changes):
    return resolution_of(Request.make("digits", {"epochs": 2.0}).with_changes(changes), DIGITS).spec


def test_the_usual_run_on_digits():
    spec = edited({})
    assert (spec.model.name, spec.optim.name, spec.model.norm.name) == ("convnet", "muon", "batch")
    assert spec.optim.settings() == {"lr": 0.0599, "weight_decay": 0.0, "momentum": 0.6, "steps": 3}


def test_another_optimiser_brings_its_own_rate():
    spec = edited({"optimizer": "adam"})
    assert spec.optim.settings() == {"lr": 2e-3, "weight_decay": 0.0, "betas": (0.9, 0.999), "eps": 1e-8}
    assert (spec.optim.schedule, spec.model.name, spec.train.epochs) == ("one_cycle", "convnet", 2.0)
    assert not hasattr(spec.optim, "momentum")


def test_another_model_brings_its_own_section():
    spec = edited({"model": "mlp"})
    fields = {"name", "inputs", "activation", "init", "norm", "width", "depth"}
    assert set(type(spec.model).model_fields) == fields
    assert (spec.model.activation.name, spec.model.init.name, spec.model.width) == ("relu", "he", 512)
    assert (spec.optim.name, spec.reg.crop_padding, spec.train.initial_resolution) == ("muon", 0, 8)


def test_without_normalisation_adamw_is_chosen_with_its_rate():
    spec = edited({"norm": "none"})
    assert (spec.optim.name, spec.optim.lr, spec.optim.weight_decay) == ("adamw", 2e-3, 0.05)
    assert (spec.optim.schedule, spec.reg.label_smoothing) == ("one_cycle", 0.1)


# What is chosen.


def test_every_choice_is_filled_in():
    sections = resolved()
    left = {
        f"{section}.{name}"
        for section in ("data", "model", "reg", "optim", "train", "ensemble")
        for name, value in getattr(sections, section)
        if value is None
    }
    # what may stay open: the split's own rule, the machine's threads, the schedule's own warm-up, and what is off unless asked for
    off = {"reg.max_norm", "reg.resized_crop", "reg.cutout", "reg.erasing", "train.minutes", "train.patience", "ensemble.jobs"}
    assert left == {"data.val_fraction", "train.threads", "optim.warmup", *off}


def test_what_was_asked_for_stands():
    options = {
        "model.activation.name": "elu",
        "model.norm.name": "group",
        "model.width": 7,
        "optim.name": "adam",
        "optim.lr": 0.5,
        "optim.weight_decay": 0.25,
        "optim.schedule": "cosine",
        "train.batch_size": 33,
        "train.ema": 0.5,
        "train.epochs": 3.25,
        "train.tta": "none",
        "reg.label_smoothing": 0.0,
        "reg.flip": "random",
        "reg.crop_padding": 0,
    }
    flat = resolved(**options).flat()
    assert {path: flat[path] for path in options} == options


@pytest.mark.parametrize("optimizer", OPTIMIZERS, ids=name_of)
def test_every_optimiser_has_a_rate_and_a_schedule(optimizer):
    spec = resolved(optimizer=name_of(optimizer))
    assert type(spec.optim) is optimizer
    assert spec.optim.lr > 0
    assert spec.optim.schedule == ("constant" if optimizer.closure else optimizer.usual["schedule"])


def test_muons_rate_grows_with_the_root_of_the_batch():
    rates = [resolved(batch_size=size).optim.lr for size in (125, 500, 2_000, 8_000)]
    assert rates == [0.085, 0.17, 0.34, 0.34]


def test_adversarial_training_has_adams_own_betas():
    spec = resolved(model="gan")
    assert (spec.optim.name, spec.optim.betas, spec.optim.lr) == ("adam", (0.5, 0.999), 2e-4)
    assert resolved(model="gan", optimizer="adamw").optim.betas == (0.5, 0.999)
    assert resolved(model="vae").optim.betas == (0.9, 0.999)


@pytest.mark.parametrize(
    ("side", "model", "stem"),
    [(8, "convnet", "whitening"), (64, "convnet", "whitening"), (65, "resnet", "large"), (224, "resnet", "large")],
)
def test_network_by_the_size_of_the_images(side, model, stem):
    found = resolved(facts(height=side, width=side)).model
    assert (found.name, found.stem) == (model, stem)


def test_images_without_a_mirror_image_are_not_mirrored():
    assert resolved(facts(flip_invariant=True)).reg.flip != "none"
    plain = resolved(facts(flip_invariant=False))
    assert (plain.reg.flip, plain.train.tta) == ("none", "none")


def test_a_resized_crop_replaces_the_padded_one():
    assert resolved(**{"reg.resized_crop": 0.3}).reg.crop_padding == 0
    assert resolved(**{"reg.resized_crop.ratio": (1.0, 2.0)}).reg.crop_padding == 0


def test_levels_architecture_and_likelihood_follow_the_images():
    shown = {name: resolved(about, model="vae").model for name, about in FACTS.items()}
    found = {name: (model.levels, model.architecture, model.likelihood) for name, model in shown.items()}
    assert found == {
        "digits": (16, "dense", "logistic"),
        "small colour": (256, "conv", "logistic"),
        "large colour": (256, "conv", "logistic"),
    }
    grey = facts(height=28, width=28, channels=1)
    assert (resolved(grey, model="vae").model.levels, resolved(grey, model="vae").model.likelihood) == (2, "bernoulli")


def test_batches_make_steps_enough():
    assert batch_size(facts(train_images=1_000_000)) >= 256
    assert batch_size(facts(train_images=1_000_000, height=224, width=224)) < 256
    for count in (400, 1_000, 5_000):
        assert count / batch_size(facts(train_images=count)) >= 19


def test_crops_and_initial_resolutions_stay_within_the_image():
    for side in (4, 5, 8, 16, 24, 28, 32, 64, 96, 128, 224, 1024):
        about = facts(height=side, width=side)
        assert 1 <= crop_padding(about) < side
        assert side / 2 <= initial_resolution(about) <= side


# Budgets.


@pytest.mark.parametrize("minutes", [0.2, 3.0, 60.0])
@pytest.mark.parametrize("speed", [50.0, 5_000.0])
def test_a_budget_in_minutes_becomes_the_epochs_that_fit(minutes, speed):
    about = facts()
    spec = resolved(about, speed, minutes=minutes)
    assert spec.train.minutes is None
    spent = seconds_of(spec, about, speed)
    one_step = spec.train.batch_size / about.train_images
    if spec.train.epochs > one_step + 1e-4:
        assert spent == pytest.approx(60 * minutes, rel=0.01)
    else:
        assert spent >= 60 * minutes  # not even a step fits: one is taken


def test_the_default_budget_is_the_usual_one_where_it_fits_and_capped_where_it_does_not():
    about = facts()
    assert resolved(about, 1e6).train.epochs == usual_epochs(about)
    slow = resolved(about, 100.0)
    assert slow.train.epochs < usual_epochs(about)
    assert seconds_of(slow, about, 100.0) == pytest.approx(60 * DEFAULT_MINUTES, rel=0.01)


def test_more_images_are_shown_fewer_times():
    counts = [20, 2_000, 20_000, 200_000, 2_000_000]
    for about in (facts(), facts(channels=1), facts(height=128, width=128)):
        epochs = [usual_epochs(dataclasses.replace(about, train_images=count)) for count in counts]
        assert epochs == sorted(epochs, reverse=True)
        assert epochs[-1] >= 1


def test_the_estimate_grows_with_each_cost():
    about, spec = facts(), resolved()
    usual = estimate_seconds(spec, about, 1_000.0, 5)
    assert estimate_seconds(spec, about, 1_000.0, 10) > usual
    assert estimate_seconds(spec, about, 2_000.0, 5) == pytest.approx(usual / 2)
    assert estimate_seconds(spec, facts(test_images=50_000), 1_000.0, 5) > usual
    full = spec.replace({"train.initial_resolution": 32})
    assert estimate_seconds(full, about, 1_000.0, 5) > usual
    plain = spec.replace({"train.initial_resolution": 32, "train.tta": "none"})
    # by hand: 5 x (10,000 + 1,000 / 3) training and validation, then 3,000 / 3 for the last look, at 1,000 images/s
    assert estimate_seconds(plain, about, 1_000.0, 5) == pytest.approx(5 * (10 + 1 / 3) + 1)


def test_a_budget_below_one_step_takes_one_step():
    about = facts(train_images=50_000)
    spec = resolved(about, 1.0, minutes=0.001)
    assert round(spec.train.epochs * about.train_images) >= spec.train.batch_size
    assert resolved(about, epochs=0.0001).train.epochs == 0.0001  # what is asked for is kept


def test_patience_needs_no_budget_but_a_longer_one():
    assert resolved(patience=3, epochs=5.0).train.patience == 3
    assert resolved(speed=1e6, patience=3).train.epochs == usual_epochs(SMALL_COLOUR)
    assert resolved(patience=3, minutes=5.0).train.epochs > 3
    with pytest.raises(InputError, match=r"train\.patience: must be less than train\.epochs \(0\.\d+\), got 3"):
        resolved(speed=10.0, patience=3, minutes=1.0)


# What does not fit the data.


@pytest.mark.parametrize(
    ("options", "changes", "message"),
    [
        ({"model.stem": "whitening"}, {"height": 96, "width": 96}, "'whitening' is for images of up to 64 pixels"),
        ({"reg.hue": 0.1}, {"channels": 1}, "the images are grey and have neither"),
        ({"reg.saturation": 0.1}, {"channels": 1}, "the images are grey and have neither"),
        ({"reg.crop_padding": 32}, {}, r"reg\.crop_padding: must be less than the images' side \(32\), got 32"),
        ({"train.initial_resolution": 40}, {}, r"must be at most the images' side \(32\), got 40"),
        ({"batch_size": 10_001}, {}, r"at most the number of training images \(10000\), got 10001"),
    ],
)
def test_what_does_not_fit_the_data_is_refused(options, changes, message):
    with pytest.raises(InputError, match=message):
        resolved(facts(**changes), **options)


def test_all_misfits_are_said_together():
    with pytest.raises(InputError) as caught:
        resolved(facts(channels=1), **{"reg.hue": 0.1, "batch_size": 10_001, "reg.crop_padding": 32})
    assert len(str(caught.value).split("\n")) == 3


def test_what_was_chosen_must_go_with_what_was_asked_for():
    with pytest.raises(InputError, match=r"model\.stochastic_depth: belongs to resnet, but model\.name is 'convnet'"):
        resolved(**{"model.stochastic_depth": 0.5})
    with pytest.raises(InputError, match=r"optim\.betas: belongs to adam, adamw, but optim\.name is 'muon'"):
        resolved(**{"optim.betas": (0.5, 0.9)})


# Where every value comes from.


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
    path.write_text(text.replace("width = 512\n", "").replace("[ensemble]", "[ensemble]\nnumber = 1"))
    with pytest.raises(InputError) as caught:
        RunSpec.from_toml(path)
    lines = str(caught.value).split("\n")
    assert {line.removeprefix(f"{path}: ").split(":")[0] for line in lines} == {"model.width", "ensemble.number"}


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


@pytest.mark.parametrize("side", [8, 28, 32, 64, 96, 224])
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("images", [20, 2_000, 1_000_000])
def test_any_data_resolve(side, channels, images):
    about = DataFacts(side, side, channels, 2, images, 100, 100, channels == 3)
    for options in ({}, {"model": "mlp"}, {"model": "resnet"}, {"optimizer": "adamw"}, {"minutes": 2.0}, {"model": "vae"}):
        spec = resolved(about, 300.0, **options)
        assert spec.train.epochs > 0
        assert spec.train.batch_size <= images
        assert resolution_of(spec.request(), about, 1.0).spec == spec
