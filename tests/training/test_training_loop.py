"""The loop: the order of its events, what holds at each, and what ends a run."""

import json

import pytest
import torch
from torch.nn import functional as F

from run_cases import MLP, kinds
from seewhy import api, data
from seewhy.core.errors import RunError
from seewhy.training.events import EpochEnded, GradientsReady, OptimizerStepped, RunStarted, StepEnded

STEP = ["gradients_ready", "optimizer_stepped", "step_ended"]
PLAIN = {**MLP, "norm": "none", "reg.label_smoothing": 0.0}


class Recorder:
    """Keeps all events, and watches the weights: within a step they move between `GradientsReady` and `OptimizerStepped` only."""

    def __init__(self, networks=("model",)):
        self.events, self.networks, self.problems, self.moved, self.gradients = [], networks, [], [], []

    def __call__(self, event):
        self.events.append(event)
        if isinstance(event, RunStarted):
            self.model, self.optimizer = event.model, event.optimizer
            self.before = self.weights()
        elif isinstance(event, (GradientsReady, StepEnded)):
            if self.changed():
                self.problems.append(f"{event}: {self.changed()} moved outside the optimiser's step")
            if isinstance(event, GradientsReady):
                self.at_gradients(event)
        elif isinstance(event, OptimizerStepped):
            self.moved.append((event.step, event.network, self.changed()))
            self.before = self.weights()

    def at_gradients(self, event):
        for name in self.networks:
            grads = [weight.grad for weight in self.part(name).parameters()]
            if any(grad is None for grad in grads) != (name != event.network):
                self.problems.append(f"{event}: gradients of {name}")
        part = self.part(event.network)
        self.gradients.append({name: weight.grad.clone() for name, weight in part.named_parameters()})
        self.at = {name: weight.detach().clone() for name, weight in part.named_parameters()}

    def part(self, name):
        return self.model if name == "model" else getattr(self.model, name)

    def weights(self):
        return {name: [weight.detach().clone() for weight in self.part(name).parameters()] for name in self.networks}

    def changed(self):
        now = self.weights()
        return tuple(
            name
            for name in self.networks
            if any(not torch.equal(a, b) for a, b in zip(now[name], self.before[name], strict=True))
        )


@pytest.mark.parametrize("optimizer", ["momentum", "lbfgs", "hessian_free"])
def test_the_order_of_events(optimizer, tmp_path):
    recorder = Recorder()
    options = {**PLAIN, "optimizer": optimizer, "batch_size": 500, "epochs": 2.0}
    run = api.train("digits", out=tmp_path / "run", observers=[recorder], **options)
    epoch = [*STEP * 3, "evaluated", "saved", "epoch_ended"]
    expected = ["planned", "run_started", *epoch * 2, "run_ended", "evaluated", "evaluated"]
    assert kinds(recorder.events) == expected
    assert not recorder.problems
    assert recorder.moved == [(step, "model", ("model",)) for step in range(1, 7)]
    numbers = [event.step for event in recorder.events if type(event).__name__ in ("GradientsReady", "StepEnded")]
    assert numbers == [step for step in range(1, 7) for _ in range(2)]
    lines = (run.folder / "events.jsonl").read_text(encoding="utf-8").splitlines()
    log = [json.loads(line, parse_constant=pytest.fail) for line in lines]
    assert [event["event"] for event in log] == [event.to_json()["event"] for event in recorder.events]
    for written, event in zip(log, recorder.events, strict=True):
        assert written.pop("time") > 1e9
        assert written == json.loads(json.dumps(event.to_json()))
    assert run.events[-1]["event"] == "evaluated"


@pytest.mark.parametrize("optimizer", ["sgd", "lbfgs", "hessian_free"])
def test_the_gradient_that_is_ready_is_that_of_the_batch_at_the_weights_before_the_step(optimizer, tmp_path):
    images = data.load_dataset("digits").train
    recorder = Recorder()
    compared = []

    def compare(event):
        if isinstance(event, GradientsReady):
            model = recorder.model
            loss = F.cross_entropy(model(images.images(torch.arange(len(images)))), images.labels)
            expected = torch.autograd.grad(loss, list(model.parameters()))
            for wanted, gradient in zip(expected, recorder.gradients[-1].values(), strict=True):
                torch.testing.assert_close(gradient, wanted, rtol=1e-4, atol=1e-6)
            compared.append(event.step)

    options = {**PLAIN, "optimizer": optimizer, "batch_size": 1375, "epochs": 2.0}
    api.train("digits", out=tmp_path / "run", observers=[recorder, compare], **options)
    assert compared == [1, 2]


def test_the_step_is_taken_with_the_gradient_that_was_ready(tmp_path):
    recorder = Recorder()
    steps = []

    def check(event):
        if isinstance(event, OptimizerStepped):
            lr = recorder.optimizer.param_groups[0]["lr"]
            now = dict(recorder.model.named_parameters())
            steps.append(lr)
            for name, gradient in recorder.gradients[-1].items():
                torch.testing.assert_close(now[name].detach(), recorder.at[name] - lr * gradient)

    options = {**PLAIN, "optimizer": "sgd", "weight_decay": 0.0, "batch_size": 500, "epochs": 1.0}
    api.train("digits", out=tmp_path / "run", observers=[recorder, check], **options)
    assert len(steps) == 3


def test_discriminator_and_generator_are_updated_when_they_are_due(tmp_path):
    networks = ("discriminator", "generator")
    recorder = Recorder(networks)
    options = {
        "model": "gan",
        "width": 8,
        "epochs": 0.2,
        "model.critic_steps": 2,
        "precision": "fp32",
        "train.threads": 1,
    }
    api.train("digits", out=tmp_path / "run", observers=[recorder], **options)
    assert not recorder.problems
    steps = max(event.step for event in recorder.events if isinstance(event, StepEnded))
    updates = [(step, name) for step in range(1, steps + 1) for name in networks[: 2 if step % 2 == 0 else 1]]
    assert recorder.moved == [(step, name, (name,)) for step, name in updates]
    each = [event for event in recorder.events if isinstance(event, (GradientsReady, OptimizerStepped, StepEnded))]
    expected = []
    for step in range(1, steps + 1):
        for _, name in [update for update in updates if update[0] == step]:
            expected += [("GradientsReady", step, name), ("OptimizerStepped", step, name)]
        expected.append(("StepEnded", step, None))
    assert [(type(event).__name__, event.step, getattr(event, "network", None)) for event in each] == expected
    assert kinds(recorder.events)[-3:] == ["saved", "epoch_ended", "run_ended"]


def test_the_metrics_of_a_step_are_those_before_it(tmp_path):
    recorder = Recorder()
    losses = []
    images = data.load_dataset("digits").train

    def compare(event):
        if isinstance(event, GradientsReady):
            with torch.no_grad():
                logits = recorder.model(images.images(torch.arange(len(images))))
                losses.append(F.cross_entropy(logits, images.labels).item())
        if isinstance(event, StepEnded):
            assert event.metrics["loss"] == pytest.approx(losses[-1], rel=1e-5)

    options = {**PLAIN, "batch_size": 1375, "epochs": 3.0, "reg.label_smoothing": 0.2}
    run = api.train("digits", out=tmp_path / "run", observers=[recorder, compare], **options)
    assert [row["train_loss"] for row in run.metrics] == pytest.approx(losses, rel=1e-5)


def test_early_stopping(shapes, tmp_path):
    events = []
    options = {**MLP, "epochs": 50.0, "batch_size": 16, "patience": 1, "lr": 1e-12}
    run = api.train(shapes, out=tmp_path / "run", observers=[events.append], **options)
    (ended,) = [event for event in events if type(event).__name__ == "RunEnded"]
    assert ended.reason == "early stop"
    assert ended.step < 50 * 6
    assert len(run.metrics) == ended.step / 6
    events = run.events
    again = api.resume(run.folder)  # it has ended: no further epoch
    assert again.metrics == run.metrics
    told = [
        event["event"] for event in again.events if event["event"] not in ("data_progress", "planned", "run_started")
    ]
    before = [event["event"] for event in events if event["event"] not in ("data_progress", "planned", "run_started")]
    assert told == before  # its end is told once


def test_of_two_equal_accuracies_the_lower_loss_is_best(tmp_path):
    events = []
    api.train("digits", out=tmp_path / "run", observers=[events.append], **{**MLP, "epochs": 6.0, "batch_size": 100})
    rows = [
        (event.row["val_accuracy"], -event.row["val_loss"], event.best)
        for event in events
        if isinstance(event, EpochEnded)
    ]
    former = []
    for accuracy, loss, best in rows:
        assert best == all((accuracy, loss) > earlier for earlier in former)
        former.append((accuracy, loss))


def test_a_loss_that_is_not_finite_names_step_layer_and_checkpoint(tmp_path, shapes):
    options = {**PLAIN, "optimizer": "sgd", "lr": 1e30, "epochs": 2.0}
    with pytest.raises(RunError) as caught:
        api.train(shapes, out=tmp_path / "run", **options)
    message = str(caught.value)
    assert "the loss is not finite at step" in message
    assert "net." in message
    assert "checkpoint" in message


def test_a_loss_that_is_not_finite_stops_a_search(tmp_path):
    recorder = Recorder()

    def spoil(event):
        if isinstance(event, StepEnded) and event.step == 2:
            recorder.model.net.head.weight.data.fill_(float("nan"))

    options = {**PLAIN, "optimizer": "lbfgs", "batch_size": 200, "epochs": 2.0}
    with pytest.raises(RunError, match=r"the loss is not finite at step 3; .* net.head"):
        api.train("digits", out=tmp_path / "run", observers=[recorder, spoil], **options)


def test_the_first_part_of_a_run_sees_smaller_images(shapes, tmp_path):
    seen = []

    def watch(event):
        if isinstance(event, RunStarted):
            event.model.register_forward_pre_hook(
                lambda model, inputs: seen.append((model.training, inputs[0].shape[-1]))
            )

    options = {"model": "convnet", "width": 4, "depth": 1, "precision": "fp32", "train.threads": 1, "batch_size": 42}
    fields = {"train.initial_resolution": 8, "train.initial_fraction": 0.5}
    api.train(shapes, out=tmp_path / "run", observers=[watch], epochs=2.0, **options, **fields)
    sides = [side for training, side in seen if training]
    assert sides == [8] * (len(sides) // 2) + [16] * (len(sides) // 2)
    assert {side for training, side in seen if not training} == {16}  # evaluation sees the full side
