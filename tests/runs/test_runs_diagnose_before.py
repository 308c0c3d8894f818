"""A diagnosis before training: the run's own network, loss, optimiser and first batch are tried."""

import pytest
import torch

import seewhy
from seewhy.core.errors import InputError
from seewhy.runs.diagnose import before
from seewhy.training.events import Planned

COMMON = {"train.threads": 1, "precision": "fp32"}
MLP = {**COMMON, "model": "mlp", "width": 16, "depth": 2}


def codes(why, status="found"):
    return [check.code for check in why.checks if check.status == status]


@pytest.mark.parametrize(
    "options",
    [
        MLP,
        {**COMMON, "model": "convnet", "width": 4, "depth": 1},
        {**MLP, "optimizer": "lbfgs"},
        {**MLP, "reg.mixup": 0.5, "dropout": 0.1},
        {**MLP, "members": 3},
        {**COMMON, "model": "vae", "model.architecture": "dense", "width": 32},
        {**COMMON, "model": "pixelcnn", "width": 8, "depth": 1},
    ],
    ids=lambda options: " ".join(str(value) for value in options.values()),
)
def test_healthy_requests_of_every_family_are_not_spoken_of(options, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    heard = []
    why = seewhy.diagnose("digits", observers=[heard.append], **options)
    assert [finding for finding in why.findings if finding.severity != "note"] == []
    assert "not_finite" in codes(why, "passed")
    assert any(isinstance(event, Planned) for event in heard)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("options", "code"),
    [
        ({"norm": "none", "init": {"name": "normal", "std": 20.0}}, "initial_loss_too_high"),
        ({"norm": "none", "activation": "sigmoid", "depth": 40}, "outputs_ignore_inputs"),
    ],
)
def test_what_is_wrong_with_the_network_is_found(options, code):
    assert code in codes(seewhy.diagnose("digits", **{**MLP, **options}))


def test_what_is_tried_is_what_training_would_see_first(tmp_path, monkeypatch):
    seen = []
    monkeypatch.setattr(before, "sanity", lambda *args, **_: seen.append(args) or seewhy.diagnosis.Sanity((), ()))
    seewhy.diagnose("digits", **MLP)
    ((model, (images, targets), loss),) = seen
    run_losses = []

    def observe(event):
        if type(event).__name__ == "StepEnded":
            run_losses.append(event.metrics["loss"])

    seewhy.train("digits", out=tmp_path / "run", observers=[observe], epochs=0.1, label_smoothing=0.0, **MLP)
    model.train()
    with torch.no_grad():
        outputs = model(images)
        smoothed = torch.nn.functional.cross_entropy(outputs, targets, label_smoothing=0.2)
        assert float(loss(outputs, targets)) == pytest.approx(float(smoothed))
        plain = torch.nn.functional.cross_entropy(outputs, targets)
    assert float(plain) == pytest.approx(run_losses[0], rel=1e-4)


def test_the_callers_random_numbers_go_on_as_they_were():
    torch.manual_seed(3)
    expected = torch.rand(1)
    torch.manual_seed(3)
    seewhy.diagnose("digits", **MLP)
    assert torch.equal(torch.rand(1), expected)


def test_a_gan_is_refused_with_what_to_do():
    with pytest.raises(InputError, match="gan is trained by the losses of two networks in turn"):
        seewhy.diagnose("digits", model="gan", width=4, **COMMON)


def test_a_run_takes_no_options_of_training(digits_run):
    with pytest.raises(InputError, match="epochs: is for data, but"):
        seewhy.diagnose(digits_run, epochs=3)
    why = seewhy.diagnose(spec=digits_run)  # that run, before it is trained again
    assert "not_finite" in codes(why, "passed")
