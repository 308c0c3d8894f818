"""The family of generative adversarial networks: from a specification to its networks, the schedule of updates, and the end of a run."""

import pytest
import torch
from torch.nn.utils import parametrize

from seewhy.models import GAN
from seewhy.models.adversarial.family import IMPLEMENTATION
from seewhy.models.family import Inputs, implementation_of
from seewhy.spec import family_of


def inputs_of(digits, count=16):
    rows = torch.arange(count)
    labels = digits.train.labels[rows]
    return Inputs(digits.train.images(rows), labels, labels)


@pytest.mark.parametrize("architecture", ["dense", "conv"])
def test_the_specification_says_what_is_built(make_trained, architecture):
    options = {"architecture": architecture, "latent_dim": 7, "conditional": True}
    hinge, wasserstein, own = (
        make_trained("gan", loss=loss, **options, **more)
        for loss, more in (
            ("hinge", {}),
            ("wasserstein", {}),
            ("wasserstein", {"gradient_penalty": 2.0, "critic_steps": 3}),
        )
    )
    assert implementation_of(hinge.spec) is IMPLEMENTATION
    assert isinstance(hinge.model, GAN)
    normalised = [layer for layer in hinge.model.discriminator.modules() if parametrize.is_parametrized(layer)]
    assert len(normalised) == len([weight for weight in hinge.model.discriminator.parameters() if weight.dim() > 1])
    assert (wasserstein.model.gradient_penalty, wasserstein.model.critic_steps) == (10.0, 5)
    assert (own.model.gradient_penalty, own.model.critic_steps) == (2.0, 3)
    assert hinge.model.gradient_penalty == 0.0
    assert hinge.model.noise(2).shape == (2, 7)
    assert family_of("gan").model("gan").verbs <= set(IMPLEMENTATION.verbs)
    text = f"gan, {architecture} generator and discriminator, width 8, depth 1, latent dimension 7, hinge loss"
    assert IMPLEMENTATION.announce(hinge.spec) == [("network", f"{text}, class-conditional")]


@pytest.mark.parametrize(
    ("options", "every"),
    [({}, 1), ({"critic_steps": 2}, 2), ({"loss": "wasserstein"}, 5), ({"loss": "wasserstein", "critic_steps": 3}, 3)],
)
def test_the_generator_is_updated_every_kth_step(make_trained, digits, options, every):
    trained = make_trained("gan", **options)
    assert trained.model.critic_steps == every
    objective = IMPLEMENTATION.objective(trained.spec, trained.facts, digits.mean)
    schedule = [[update.network for update in objective.updates(step)] for step in range(12)]
    for step, networks in enumerate(schedule):
        assert networks == ["discriminator", "generator"][: 2 if (step + 1) % every == 0 else 1]


@pytest.mark.parametrize("network", ["discriminator", "generator"])
def test_an_update_moves_one_network_only(make_trained, digits, network):
    trained = make_trained("gan", conditional=True)
    trained.model.train()
    objective = IMPLEMENTATION.objective(trained.spec, trained.facts, digits.mean)
    update = next(update for update in objective.updates(0) if update.network == network)
    assert update.direct
    inputs = inputs_of(digits)
    with update.training_only(trained.model):
        update.criterion(update.forward(trained.model, inputs), inputs).loss.backward()
    moved = {name.split(".")[0] for name, weight in trained.model.named_parameters() if weight.grad is not None}
    assert moved == {network}
    assert all(weight.requires_grad for weight in trained.model.parameters())


def test_metrics_are_sums_and_the_generators_loss_counts_for_its_steps(make_trained, digits):
    trained = make_trained("gan", critic_steps=4)
    objective = IMPLEMENTATION.objective(trained.spec, trained.facts, digits.mean)
    inputs, model = inputs_of(digits), trained.model
    sums, losses = {}, []
    for update in objective.updates(3):
        torch.manual_seed(0)
        result = update.criterion(update.forward(model, inputs), inputs)
        sums |= result.sums
        losses.append(result.loss.item())
    torch.manual_seed(0)
    discriminator = model.discriminator_loss(inputs.images)
    torch.manual_seed(0)
    generator = model.generator_loss(16)
    assert set(sums) == set(objective.metrics)
    assert losses == [discriminator.loss.item(), generator.loss.item()]
    expected = {
        "discriminator_loss": 16 * discriminator.loss.item(),
        "real": 16 * discriminator.real.item(),
        "fake": 16 * discriminator.fake.item(),
        "generator_loss": 4 * 16 * generator.loss.item(),
    }
    assert {name: value.item() for name, value in sums.items()} == pytest.approx(expected, rel=1e-6)
    assert not any(value.requires_grad for value in sums.values())


def test_the_last_epoch_is_the_best(make_spec, digits):
    objective = IMPLEMENTATION.objective(make_spec("gan"), None, digits.mean)
    assert objective.validate is None
    assert objective.score({"step": 20.0}) > objective.score({"step": 10.0})


def test_the_end_of_a_run_has_sheets_and_no_likelihood(make_trained, digits, reader_of, engines, tmp_path):
    trained = make_trained("gan")
    assert not IMPLEMENTATION.report(reader_of(trained)).notes
    other = IMPLEMENTATION.finish(make_trained("gan", engine=engines(2)[1]), digits, tmp_path)
    assert not other.record
    assert not list(tmp_path.iterdir())
    finished = IMPLEMENTATION.finish(trained, digits, tmp_path)
    assert finished.results == {}
    assert [sheet["name"] for sheet in finished.record["sheets"]] == ["samples", "nearest training images"]
    (note,) = IMPLEMENTATION.report(reader_of(trained, finished)).notes
    assert f"to compare them with real ones: seewhy evaluate {tmp_path}" in note
