"""What needs torch of the family of latent-variable models; see `seewhy.models.family.Implementation`."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

from torch import nn

from seewhy import reporting
from seewhy.core.seeding import rng
from seewhy.data import Dataset
from seewhy.models import generative
from seewhy.models.choices import Choice
from seewhy.models.family import FamilyReport, Finished, Implementation, Inputs, Objective, Trained
from seewhy.models.generative import FolderReader
from seewhy.models.intensity import IntensityLevels
from seewhy.models.latent import verbs
from seewhy.models.latent.autoencoder import Autoencoder
from seewhy.models.latent.build import build_autoencoder, build_vae
from seewhy.models.latent.design import LatentDesign
from seewhy.models.latent.graph import export
from seewhy.models.latent.latents import axes, fit_latents, load_latents
from seewhy.models.latent.sheets import latent_results, latent_sheets, latent_use
from seewhy.models.latent.vae import VAE, BoundOptions
from seewhy.spec import DataFacts, RunSpec
from seewhy.spec.latent import LatentSection, VAESection


def build(spec: RunSpec, facts: DataFacts, _mean: Sequence[float], _std: Sequence[float]) -> nn.Module:
    """Build the autoencoder or VAE of a resolved specification with its first weights."""
    model = spec.model
    assert isinstance(model, LatentSection)
    design = LatentDesign(
        latent_dim=model.latent_dim,
        levels=IntensityLevels(model.levels, model.binarise),
        likelihood=model.likelihood,
        architecture=model.architecture,
        width=model.width,
        depth=model.depth,
        activation=Choice(model.activation.name, model.activation.options()),
    )
    weights, classes = rng(spec.train.seed, "weights"), facts.classes if model.conditional else None
    if not isinstance(model, VAESection):
        return build_autoencoder(in_shape=facts.shape, rng=weights, classes=classes, design=design)
    bound = BoundOptions(beta=model.beta, free_bits=model.free_bits, samples=model.samples)
    return build_vae(in_shape=facts.shape, rng=weights, classes=classes, design=design, bound=bound)


def objective(spec: RunSpec, _facts: DataFacts, _mean: Sequence[float]) -> Objective:
    """Return the objective: reconstruction, with the KL term of a VAE, whose weight rises over its share of the steps."""
    if not isinstance(spec.model, VAESection):
        return generative.density_objective(spec)
    options = partial(_kl_weight, spec.model.kl_warmup)
    return generative.density_objective(spec, metrics=("loss", "reconstruction", "kl"), options=options)


def _kl_weight(warmup: float, inputs: Inputs) -> dict[str, float]:
    return {"kl_weight": min(1.0, inputs.done / warmup) if warmup else 1.0}


def announce(spec: RunSpec) -> list[tuple[str, str]]:
    """Return the lines of the plan that describe the network."""
    model = spec.model
    assert isinstance(model, LatentSection)
    return generative.announce_network(
        spec,
        networks=f"{model.architecture} encoder and decoder",
        size=(f"latent dimension {model.latent_dim}",),
        details=(model.likelihood,),
    )


def finish(trained: Trained, dataset: Dataset, folder: Path) -> Finished:
    """Measure the likelihood of validation and test images and, of a VAE, the use of its latent; write sheets, and an autoencoder's latents."""
    if isinstance(trained.model, Autoencoder):
        fit_latents(trained, dataset.train, folder)
    results, predictions = generative.likelihood_results(trained, dataset, verbs.estimator_of(trained.spec))
    if not trained.engine.is_main:
        return Finished(results=results, predictions=predictions)
    use, record = None, dict[str, Any]()
    if isinstance(trained.model, VAE):
        use = latent_use(trained, generative.held_out(dataset))
        results["latent"], record = latent_results(use)
    sheets = generative.write_sheets(latent_sheets(trained, dataset, use), folder)
    return Finished(results=results, record={"sheets": sheets, **record}, predictions=predictions)


def report(reader: FolderReader) -> FamilyReport:
    """Return the family's part of a run's report."""
    given = "" if isinstance(reader.spec.model, VAESection) else " given the latent"
    kl = reader.record.get("kl", ())
    charts = [reporting.Chart(partial(_kl_chart, kl), "KL of each latent dimension")] if kl else []
    return generative.generative_report(reader, given=given, charts=charts)


def _kl_chart(kl: Sequence[float]) -> Any:
    return reporting.latent_kl_chart(kl)  # loads the library of charts


IMPLEMENTATION = Implementation(
    build=build,
    prepare=lambda network, images, _spec: network.prepare(images),  # type: ignore[operator]
    objective=objective,
    announce=announce,
    finish=finish,
    report=report,
    observe=generative.observe,
    load=load_latents,
    verbs={
        "sample": verbs.sample,
        "reconstruct": verbs.reconstruct,
        "interpolate": verbs.interpolate,
        "traverse": verbs.traverse,
        "encode": verbs.encode,
        "decode": verbs.decode,
        "axes": axes,
        "evaluate": verbs.evaluate,
        "sample_quality": verbs.sample_quality,
        "export": export,
    },
)
