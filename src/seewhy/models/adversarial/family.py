"""What needs torch of the family of generative adversarial networks; see `seewhy.models.family.Implementation`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from torch import nn

from seewhy.core.seeding import rng
from seewhy.data import Dataset
from seewhy.models import generative
from seewhy.models.adversarial.build import build_gan
from seewhy.models.adversarial.design import AdversarialDesign
from seewhy.models.adversarial.gan import GAN
from seewhy.models.adversarial.graph import export
from seewhy.models.adversarial.objective import adversarial_objective
from seewhy.models.family import FamilyReport, Finished, Implementation, Objective, Trained
from seewhy.models.generative import FolderReader
from seewhy.spec import DataFacts, RunSpec
from seewhy.spec.adversarial import GANSection


def build(spec: RunSpec, facts: DataFacts, _mean: Sequence[float], _std: Sequence[float]) -> nn.Module:
    """Build generator and discriminator of a resolved specification with their first weights."""
    model = spec.model
    assert isinstance(model, GANSection)
    design = AdversarialDesign(
        latent_dim=model.latent_dim,
        architecture=model.architecture,
        loss=model.loss,
        gradient_penalty=model.gradient_penalty,
        critic_steps=model.critic_steps,
        width=model.width,
        depth=model.depth,
    )
    classes = facts.classes if model.conditional else None
    return build_gan(in_shape=facts.shape, rng=rng(spec.train.seed, "weights"), classes=classes, design=design)


def objective(spec: RunSpec, _facts: DataFacts, _mean: Sequence[float]) -> Objective:
    """Return the objective: adversarial training."""
    return adversarial_objective(spec)


def announce(spec: RunSpec) -> list[tuple[str, str]]:
    """Return the lines of the plan that describe the networks."""
    model = spec.model
    assert isinstance(model, GANSection)
    return generative.announce_network(
        spec,
        networks=f"{model.architecture} generator and discriminator",
        size=(f"latent dimension {model.latent_dim}",),
        details=(f"{model.loss} loss",),
    )


def finish(trained: Trained, dataset: Dataset, folder: Path) -> Finished:
    """Write sheets of samples; there is no likelihood to measure."""
    if not trained.engine.is_main:
        return Finished(results={})
    sheets = generative.common_sheets(trained, dataset.train)
    return Finished(results={}, record={"sheets": generative.write_sheets(sheets, folder)})


def report(reader: FolderReader) -> FamilyReport:
    """Return the family's part of a run's report."""
    note = (
        "The losses of adversarial training do not measure how good the images are; "
        f"to compare them with real ones: seewhy evaluate {reader.folder}"
    )
    return generative.generative_report(reader, notes=[note] if generative.has_ended(reader) else ())


def networks(network: nn.Module) -> Mapping[str, nn.Module]:
    """Return generator and discriminator, which are updated in turn."""
    assert isinstance(network, GAN)
    return {"generator": network.generator, "discriminator": network.discriminator}


IMPLEMENTATION = Implementation(
    build=build,
    prepare=lambda network, images, _spec: network.prepare(images),  # type: ignore[operator]
    objective=objective,
    announce=announce,
    finish=finish,
    report=report,
    observe=generative.observe,
    networks=networks,
    verbs={"sample": generative.sample, "sample_quality": generative.sample_quality, "export": export},
)
