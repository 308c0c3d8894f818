"""The family of pretrained classifiers: what training, runs and reports ask of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from torch import Tensor, nn

from seewhy.core.seeding import rng
from seewhy.models.classifiers import family as classifiers
from seewhy.models.classifiers.classifier import Classifier
from seewhy.models.classifiers.objective import sections
from seewhy.models.pretrained.backbones import Record, make_body, record_of
from seewhy.models.pretrained.network import PretrainedNet
from seewhy.models.pretrained.objective import net_of, objective, rates
from seewhy.models.pretrained.weights import find_weights, load_weights
from seewhy.models.weights import seeded_weights
from seewhy.spec import DataFacts, RunSpec
from seewhy.spec.pretrained import DEFAULT, FIXED, PretrainedSection, library_of
from seewhy.spec.view import View


def examine(view: View) -> int:
    """Refuse a backbone or weights that cannot be had, before any data are read; return the side at which large images are kept."""
    library = library_of(view["model.name"])
    record = record_of(library, view["model.backbone"] or DEFAULT[library])
    size = view["model.input_size"] or record.input_size
    path = find_weights(view["model.weights"], record)
    if path is not None:
        load_weights(make_body(record, size)[0], record, path)
    return record.resized(size)


def _record(spec: RunSpec) -> tuple[PretrainedSection, Record]:
    model = spec.model
    assert isinstance(model, PretrainedSection)
    return model, record_of(library_of(model.name), model.backbone)


def build(spec: RunSpec, facts: DataFacts, mean: Sequence[float], std: Sequence[float]) -> Classifier:
    """Build the network with random weights; the images' own statistics give way to those of the pretraining."""
    del mean, std
    (model, record), (reg, _) = _record(spec), sections(spec)
    with seeded_weights(rng(spec.train.seed, "weights")):
        size = model.input_size or record.input_size
        body, features = make_body(record, size)
        net = PretrainedNet(
            body,
            features,
            facts.classes,
            record=record,
            input_size=size,
            fixed=model.regime in FIXED,
            frozen_statistics=model.norm_statistics == "frozen",
            scaled=model.regime == "nearest_mean",
            dropout=reg.dropout,
        )
    return Classifier(net, record.mean, record.std)


def prepare(network: nn.Module, images: Tensor, spec: RunSpec) -> None:
    """Load the weights of the backbone."""
    del images
    model, record = _record(spec)
    path = find_weights(model.weights, record)
    if path is not None:
        load_weights(net_of(network).body, record, path)


SAID = {
    "nearest_mean": "the nearest class mean; a scale of the logits is trained",
    "linear": "a linear head; the features are computed once",
    "finetune": "the head first, then all",
    "full": "all layers",
}


def announce(spec: RunSpec) -> list[tuple[str, str]]:
    """Describe network and weights in the plan."""
    (model, record), (reg, _) = _record(spec), sections(spec)
    licence = f", licence {record.licence}" if record.licence else ""
    weights = {"none": "no: random weights", "pretrained": f"{record.hub or record.url}{licence}"}
    trained = f"{model.regime}: {SAID[model.regime]}"
    if model.regime == "finetune" and model.head_epochs:
        trained = f"finetune: the head for {model.head_epochs:g} epochs, then all, the first layers at {model.lowest_rate:g} of the rate"
    frozen = ", statistics of batch normalisation frozen" if model.norm_statistics == "frozen" else ""
    lines = [
        ("network", f"{record.name} of {record.library} at {model.input_size or record.input_size} px"),
        ("pretrained", weights.get(model.weights, model.weights)),
        ("trained", trained + frozen * (model.regime not in FIXED)),
    ]
    return [*lines, *([("regularised", f"dropout {reg.dropout:g}")] if reg.dropout else [])]


IMPLEMENTATION = replace(
    classifiers.IMPLEMENTATION,
    build=build,
    prepare=prepare,
    objective=objective,
    announce=announce,
    examine=examine,
    rates=rates,
)
