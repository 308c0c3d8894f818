"""The likelihood objective and its evaluation, against direct computation."""

import math

import pytest
import torch

from seewhy.core.seeding import derive, rng
from seewhy.models.family import Inputs, implementation_of
from seewhy.models.generative import (
    CHUNK,
    Estimator,
    density_objective,
    evaluate_likelihood,
    log_likelihoods,
    mean_metrics,
)


def test_the_loss_is_the_mean_over_the_batch_and_metrics_are_its_sum(make_spec):
    losses, calls = torch.tensor([1.0, 2.0, 6.0], requires_grad=True), []

    def network(images, labels, **options):
        calls.append((labels, options))
        return {"loss": losses, "kl": 2 * losses}

    inputs = Inputs(torch.zeros(3, 1, 8, 8), torch.tensor([4, 5, 6]), torch.tensor([4, 5, 6]), 0.25)
    for conditional in (False, True):
        objective = density_objective(
            make_spec("pixelcnn", conditional=conditional),
            metrics=("loss", "kl"),
            options=lambda inputs: {"weight": inputs.done},
        )
        (update,) = objective.updates(7)
        result = update.criterion(update.forward(network, inputs), inputs)
        assert result.loss.item() == 3.0
        assert {name: value.item() for name, value in result.sums.items()} == {"loss": 9.0, "kl": 18.0}
        assert not any(value.requires_grad for value in result.sums.values())
        assert result.count == 3
        assert calls[-1][1] == {"weight": 0.25}
        assert (calls[-1][0] is not None) == conditional
    assert objective.score({"val_loss": 2.0}) > objective.score({"val_loss": 3.0})


def test_augmentation_keeps_the_distribution_of_the_images(make_spec):
    spec = make_spec("pixelcnn").replace({"reg.flip": "random", "reg.brightness": 0.25})
    assert list(density_objective(spec).augment.single_changes()) == ["flip", "brightness"]


def test_validation_is_the_mean_of_the_metrics_and_leaves_the_random_numbers_alone(make_trained, digits):
    trained = make_trained("vae", levels=2, conditional=True)
    objective = implementation_of(trained.spec).objective(trained.spec, trained.facts, digits.mean)
    trained.model.train()
    state = torch.random.get_rng_state()
    metrics = objective.validate(trained.engine, trained.model, digits.val)
    assert torch.equal(torch.random.get_rng_state(), state)
    with torch.no_grad(), torch.random.fork_rng():
        torch.manual_seed(derive(0, "validation", 0))
        direct = trained.model(digits.val.images(torch.arange(60)), digits.val.labels)
    assert tuple(metrics) == objective.metrics
    assert metrics == {name: pytest.approx(direct[name].mean().item()) for name in objective.metrics}
    assert objective.validate(trained.engine, trained.model, digits.val) == metrics


def test_processes_share_the_work_and_add_up_to_the_same(make_trained, digits, engines):
    trained = make_trained("pixelcnn", levels=2)
    split = digits.train.take(torch.arange(600) % 300)
    assert len(split) > 2 * CHUNK
    objective = density_objective(trained.spec)
    (update,) = objective.updates(0)
    whole = log_likelihoods(trained.engine, trained.model, split, conditional=False)
    shares = [log_likelihoods(engine, trained.model, split, conditional=False) for engine in engines(2)]
    assert torch.equal(shares[0] + shares[1], whole)
    assert not shares[1][:CHUNK].any()
    means = mean_metrics(trained.engine, trained.model, split, update=update, metrics=("loss",))
    parts = [mean_metrics(one, trained.model, split, update=update, metrics=("loss",)) for one in engines(2)]
    assert parts[0]["loss"] + parts[1]["loss"] == pytest.approx(means["loss"])


def test_a_likelihood_has_its_interval(make_trained, digits, interval_of):
    trained, done = make_trained("pixelcnn", levels=2, conditional=True), []
    evaluated = evaluate_likelihood(trained, digits.test, "test", Estimator("exact", 2), done.append)
    with torch.no_grad():
        direct = trained.model.log_likelihood(
            digits.test.images(torch.arange(70)), digits.test.labels, rng=rng(0, "likelihood", 0)
        )
    figures = evaluated.figures
    assert torch.equal(torch.from_numpy(evaluated.arrays["log_likelihood"]), direct)
    assert figures.nats == pytest.approx(-direct.mean().item())
    assert figures.interval == pytest.approx(interval_of(-direct), rel=1e-5)
    assert figures.bits_per_dimension == pytest.approx(figures.nats / (64 * math.log(2)))
    assert (figures.split, figures.n, figures.estimator, figures.levels) == ("test", 70, "exact", 2)
    assert done == [70]
    assert evaluated.lines[0] == "test: 70 images; exact"
    assert f"{figures.nats:.2f} nats per image" in evaluated.lines[1]
