"""What is chosen where the user said nothing, and what is refused."""

import pytest

from seewhy.core.errors import InputError
from seewhy.training.spec import make_spec
from seewhy.training.spec.defaults import (
    DEFAULT_MINUTES,
    OPTIM_DEFAULTS,
    Facts,
    batch_size,
    crop_padding,
    early_resolution,
    estimate_seconds,
    resolve,
    resolve_budget,
    usual_epochs,
)


def facts(**changes):
    """Facts of a small coloured data set, with some of them replaced."""
    usual = {
        "height": 32,
        "width": 32,
        "channels": 3,
        "classes": 10,
        "train_images": 10_000,
        "val_images": 1_000,
        "test_images": 2_000,
        "mirrorable": True,
    }
    return Facts(**{**usual, **changes})


def resolved(about=None, speed=1_000.0, **options):
    about = about or facts()
    return resolve_budget(resolve(make_spec("digits", options), about), about, speed)


def seconds_of(spec, about, speed):
    return estimate_seconds(spec, about, speed, spec.train.epochs)


def test_every_choice_is_filled_in():
    left = {
        f"{section}.{name}"
        for section, fields in resolved().model_dump(exclude={"source"}).items()
        for name, value in fields.items()
        if value is None
    }
    # what may stay open: the split's own rule, the machine's threads, and what is off unless asked for
    off = {
        "train.minutes",
        "train.patience",
        "optim.warmup",
        "reg.resized_crop",
        "model.pieces",
        "model.init_std",
        "reg.max_norm",
        "ensemble.jobs",
        *(f"generator.{name}" for name in ("levels", "kernel", "code", "coder", "output", "loss", "penalty", "turns")),
    }
    assert left <= {"data.val_fraction", "train.threads", *off}


def test_what_the_user_said_stands():
    options = {
        "activation": "elu",
        "init": "he",
        "norm": "group",
        "width": 7,
        "depth": 2,
        "optimizer": "adam",
        "lr": 0.5,
        "weight_decay": 0.25,
        "batch_size": 33,
        "label_smoothing": 0.0,
        "flip": "random",
        "ema": 0.5,
        "epochs": 3.25,
        "optim.schedule": "cosine",
        "reg.crop_padding": 0,
        "train.tta": "none",
    }
    found = resolved(**options)
    assert (found.model.activation, found.model.init, found.model.norm) == ("elu", "he", "group")
    assert (found.model.width, found.model.depth) == (7, 2)
    assert (found.optim.name, found.optim.lr, found.optim.weight_decay) == ("adam", 0.5, 0.25)
    assert (found.optim.schedule, found.train.batch_size, found.train.epochs) == ("cosine", 33, 3.25)
    assert (found.reg.label_smoothing, found.reg.flip, found.reg.crop_padding) == (0.0, "random", 0)
    assert (found.train.ema, found.train.tta) == (0.5, "none")


@pytest.mark.parametrize("name", OPTIM_DEFAULTS)
def test_every_optimiser_has_a_rate_and_a_schedule(name):
    found = resolved(optimizer=name).optim
    assert found.lr > 0
    assert found.schedule is not None
    assert (found.momentum is None) == ("momentum" not in OPTIM_DEFAULTS[name])


@pytest.mark.parametrize(
    ("side", "model", "stem"),
    [(8, "convnet", "whitening"), (64, "convnet", "whitening"), (65, "resnet", "large"), (224, "resnet", "large")],
)
def test_network_by_the_size_of_the_pictures(side, model, stem):
    found = resolved(facts(height=side, width=side)).model
    assert (found.name, found.stem) == (model, stem)


def test_pictures_without_a_mirror_image_are_not_mirrored():
    assert resolved(facts(mirrorable=True)).reg.flip != "none"
    plain = resolved(facts(mirrorable=False))
    assert (plain.reg.flip, plain.train.tta) == ("none", "none")


def test_an_mlp_has_no_stem_and_its_pictures_stay_in_place():
    found = resolved(model="mlp")
    assert (found.model.stem, found.reg.crop_padding, found.train.tta) == (None, 0, "none")
    assert found.train.early_resolution == 32


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
        epochs = [usual_epochs(facts(**{**vars(about), "train_images": count})) for count in counts]
        assert epochs == sorted(epochs, reverse=True)
        assert epochs[-1] >= 1


def test_the_estimate_grows_with_each_cost():
    about, spec = facts(), resolved()
    usual = estimate_seconds(spec, about, 1_000.0, 5)
    assert estimate_seconds(spec, about, 1_000.0, 10) > usual
    assert estimate_seconds(spec, about, 2_000.0, 5) == pytest.approx(usual / 2)
    assert estimate_seconds(spec, facts(test_images=50_000), 1_000.0, 5) > usual
    full = spec.with_changes({"train.early_resolution": 32})
    assert estimate_seconds(full, about, 1_000.0, 5) > usual
    plain = spec.with_changes({"train.early_resolution": 32, "train.tta": "none"})
    # by hand: 5 x (10,000 + 1,000 / 3) training and validation, then 3,000 / 3 for the last look, at 1,000 images/s
    assert estimate_seconds(plain, about, 1_000.0, 5) == pytest.approx(5 * (10 + 1 / 3) + 1)


def test_a_budget_below_one_step_takes_one_step():
    about = facts(train_images=50_000)
    spec = resolved(about, 1.0, minutes=0.001)
    assert round(spec.train.epochs * about.train_images) >= spec.train.batch_size
    assert (
        resolved(about, epochs=0.0001).train.epochs == 0.0001
    )  # what is asked for is kept; a run takes at least one step


def test_batches_make_steps_enough():
    assert batch_size(facts(train_images=1_000_000)) >= 256
    assert batch_size(facts(train_images=1_000_000, height=224, width=224)) < 256
    for count in (400, 1_000, 5_000):
        assert count / batch_size(facts(train_images=count)) >= 19


def test_crops_and_early_sides_stay_within_the_picture():
    for side in (4, 5, 8, 16, 24, 28, 32, 64, 96, 128, 224, 1024):
        about = facts(height=side, width=side)
        assert 1 <= crop_padding(about) < side
        assert side / 2 <= early_resolution(about) <= side


@pytest.mark.parametrize(
    ("options", "changes", "message"),
    [
        ({"model.stem": "whitening"}, {"height": 96, "width": 96}, "'whitening' is for pictures of up to 64 pixels"),
        ({"reg.hue": 0.1}, {"channels": 1}, "the pictures are grey and have neither"),
        ({"reg.saturation": 0.1}, {"channels": 1}, "the pictures are grey and have neither"),
        ({"reg.crop_padding": 32}, {}, r"reg\.crop_padding: must be less than the pictures' side \(32\), got 32"),
        ({"train.early_resolution": 40}, {}, r"must be at most the pictures' side \(32\), got 40"),
        ({"batch_size": 10_001}, {}, r"at most the number of training images \(10000\), got 10001"),
    ],
)
def test_what_does_not_fit_the_data_is_refused(options, changes, message):
    with pytest.raises(InputError, match=message):
        resolved(facts(**changes), **options)


@pytest.mark.parametrize("count", [2, 4, 15])
def test_tiny_data_resolve_to_a_run_that_can_be_repeated(count):
    about = facts(train_images=count, val_images=0, test_images=2, classes=2)
    spec = resolved(about)
    assert 1 <= spec.train.batch_size <= count
    assert resolved(about) == resolve_budget(resolve(spec, about), about, 1.0)
