"""What is chosen where nothing was asked for: by data, model and optimiser, with its reason; and that it can be asked for again."""

import dataclasses
import itertools

import pytest
from hypothesis import assume, given, settings
from spec_facts import DIGITS, FACTS, LARGE_COLOUR, SMALL_COLOUR, facts, resolution_of, resolved, seconds_of
from spec_requests import requests

from seewhy.core.errors import InputError
from seewhy.spec import (
    DataFacts,
    Request,
    RunSpec,
    estimate_seconds,
    family_of,
    model_names,
)
from seewhy.spec.classifiers import batch_size, crop_padding, initial_resolution, usual_epochs
from seewhy.spec.optimizers import OPTIMIZERS
from seewhy.spec.resolution import DEFAULT_MINUTES
from seewhy.spec.section import name_of

# Asked for again.


def every_run():
    """Yield every model with every optimiser that can train it."""
    optimizers = (None, *OPTIMIZERS)
    for model, optimizer in itertools.product((None, *model_names()), optimizers):
        if optimizer is None or model is None or family_of(model).closures or not optimizer.closure:
            named = {
                "model": "package.module:make" if model == "custom" else model,
                "optimizer": None if optimizer is None else name_of(optimizer),
            }
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
    off = {
        "reg.max_norm",
        "reg.resized_crop",
        "reg.cutout",
        "reg.erasing",
        "train.minutes",
        *(f"data.{name}" for name in ("labels", "image_column", "label_column", "split_column", "group", "folds")),
        "train.initial_weights",
        "train.patience",
        "ensemble.jobs",
    }
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


def test_an_mlp_sees_its_images_in_place():
    spec = resolved(model="mlp")
    assert (spec.reg.crop_padding, spec.train.tta, spec.train.initial_resolution) == (0, "none", 32)


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
    assert (
        resolved(speed=0.5, patience=3).train.patience == 3
    )  # beyond the budget: the plan says that it never stops the run


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


@pytest.mark.parametrize("side", [8, 28, 32, 64, 96, 224])
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("images", [20, 2_000, 1_000_000])
def test_any_data_resolve(side, channels, images):
    about = DataFacts(side, side, channels, 2, images, 100, 100, channels == 3)
    for options in (
        {},
        {"model": "mlp"},
        {"model": "resnet"},
        {"optimizer": "adamw"},
        {"minutes": 2.0},
        {"model": "vae"},
    ):
        spec = resolved(about, 300.0, **options)
        assert spec.train.epochs > 0
        assert spec.train.batch_size <= images
        assert resolution_of(spec.request(), about, 1.0).spec == spec
