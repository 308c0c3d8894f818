"""Why a classifier's run predicts what it does: attribution maps, their sanity check, and the nearest training images."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn
from torch.nn import functional as F

from seewhy import data as seewhy_data
from seewhy.core.errors import InputError, RunError, bad_value, unknown_name
from seewhy.core.files import is_inside
from seewhy.core.tensors import digest_of, load_tensors, save_tensors
from seewhy.data import Dataset
from seewhy.data.image_files import to_pixels
from seewhy.metrics.sample_quality.neighbours import nearest_neighbours
from seewhy.models import explanation as methods
from seewhy.models.family import Trained, verb
from seewhy.models.randomisation import Randomised, sanity_check
from seewhy.reporting.explanations import AttributionMap, ExplainedImage, Neighbour
from seewhy.runs.evaluate import Progress
from seewhy.runs.explained import FOLDER, WORDS, Explanation, Explanations
from seewhy.runs.folder import RunData
from seewhy.spec import RunSpec
from seewhy.training.build import data_options

MISTAKES = 6
"""Most confident mistakes that are explained."""

CHECKED = 8
"""Images by which maps are held against those of random weights."""

STEPS, CHECK_STEPS = 64, 16
"""Points of the path of integrated gradients: of the maps that are shown, and of those of random weights, of which only the ranks matter."""

CHUNK = 500
"""Training images whose features are computed at a time."""

BLOCK = 50_000
"""Training images among which neighbours are looked for at a time."""

DOUBTFUL = ("barely changes with", "random weights")
"""What is written under a map that fails the sanity check."""


class Explained(Protocol):
    """A run that is explained."""

    @property
    def folder(self) -> Path:
        """Where it lives."""

    @property
    def spec(self) -> RunSpec:
        """What it is."""

    @property
    def classes(self) -> tuple[str, ...]:
        """The class names."""

    @property
    def members(self) -> Sequence[Any]:
        """The members of an ensemble, which are runs too; () for a single network."""

    @property
    def trained(self) -> Trained:
        """The network, and what it knows of its data."""

    @property
    def record(self) -> dict[str, Any]:
        """What the end of the run has kept."""

    @property
    def ended(self) -> bool:
        """Whether it has come to its end."""

    @property
    def results(self) -> dict[str, Any]:
        """The final figures by split."""

    def weights(self) -> dict[str, Tensor]:
        """Return the weights of the network."""

    def release(self) -> None:
        """Let go of the network."""

    def probabilities(self, images: Tensor) -> Tensor:
        """Return class probabilities."""


@dataclass(frozen=True)
class Asked:
    """What is to be explained, and how.

    Attributes:
        names: of the images.
        images: uint8 (N, C, H, W), at the run's size.
        true: their true classes where they are known.
        class_name: the class that the maps speak for; None for the predicted one.
        method: one of `methods.METHODS`, or "all".
        layer: of Grad-CAM; None for the last map that is large enough.
        nearest: training images that are shown.
        check: whether the maps are held against those of random weights.
    """

    names: Sequence[str]
    images: Tensor
    true: Sequence[str | None]
    class_name: str | None = None
    method: str = "all"
    layer: str | None = None
    nearest: int = 4
    check: bool = True

    def validate(self, classes: Sequence[str]) -> None:
        """Raise InputError for a class or a method that is not known."""
        if self.class_name is not None and self.class_name not in classes:
            raise unknown_name("class", self.class_name, classes)
        if self.method not in (*methods.METHODS, "all"):
            raise unknown_name("method", self.method, (*methods.METHODS, "all"))
        if self.nearest < 0:
            raise bad_value("nearest", self.nearest, "at least 0")


def mistakes(run: Explained) -> tuple[list[str], Tensor, list[str | None]]:
    """Return names, images and true classes of a run's most confident mistakes.

    Raises:
        InputError: there are none, or their images are gone.
    """
    folder = run.folder
    if not run.ended:
        raise InputError(f"{folder}: has not ended, and its mistakes are not known yet; name images")
    if not {"val", "test"} & set(run.results):
        raise InputError(f"{folder}: has no validation or test images on which mistakes would be seen; name images")
    rows = [row for row in run.record.get("mistakes", ()) if is_inside(folder, row["file"])][:MISTAKES]
    if not rows:
        raise InputError(f"{folder}: has no mistakes to explain: it made none, or their images are gone; name images")
    pixels = [np.atleast_3d(np.asarray(Image.open(folder / row["file"]))) for row in rows]
    return (
        [row["name"] for row in rows],
        torch.from_numpy(np.stack(pixels)).movedim(3, 1),
        [row["true"] for row in rows],
    )


def explain(run: Explained, known: RunData, asked: Asked, progress: Progress | None = None) -> Explanations:
    """Explain the predictions of a run.

    Args:
        run: of a classifier.
        known: what it knows of its data.
        asked: images and choices.
        progress: of the training images' features.

    Raises:
        InputError: a class, a method or a layer is not known, or Grad-CAM is asked for of a network without a feature map.
    """
    asked.validate(run.classes)
    probabilities = run.probabilities(asked.images)
    predicted = probabilities.argmax(1)
    classes = predicted if asked.class_name is None else torch.full_like(predicted, run.classes.index(asked.class_name))
    attributed = _attribute(run, asked, classes, torch.tensor(known.values["mean"]).view(-1, 1, 1) * 255)
    notes = attributed.notes
    neighbours: list[list[Neighbour]] = [[] for _ in asked.names]
    if asked.nearest:
        data = _training_data(run, known, notes)
        neighbours = neighbours if data is None else _nearest(run, data, asked, notes, progress)
    pixels = to_pixels(asked.images)
    images = []
    for row, name in enumerate(asked.names):
        shown = ExplainedImage(
            name=name,
            image=pixels[row],
            predicted=run.classes[int(predicted[row])],
            confidence=float(probabilities[row].max()),
            explained=run.classes[int(classes[row])],
            true=asked.true[row],
            maps=[attributed.shown(method, row) for method in attributed.maps],
            neighbours=neighbours[row],
        )
        images.append(Explanation(shown, *(attributed.completeness(row) or ())))
    return Explanations(tuple(images), attributed.layer, attributed.sanity, tuple(notes))


@dataclass
class _Attributed:
    """Maps of all images by method, means over the members."""

    maps: dict[str, Tensor]
    sanity: dict[str, Randomised]
    notes: list[str]
    layer: str | None = None
    rise: Tensor | None = None

    def completeness(self, row: int) -> tuple[float, float] | None:
        """Return the gap and the rise of integrated gradients; None if they were not computed."""
        if self.rise is None:
            return None
        rise = float(self.rise[row])
        return abs(float(self.maps["integrated_gradients"][row].sum()) - rise), rise

    def shown(self, method: str, row: int) -> AttributionMap:
        """Return one map with what is written under it."""
        values, found = self.maps[method][row].numpy(), self.sanity.get(method)
        lines = []
        if method == "grad_cam" and not values.any():
            lines.append("nothing speaks for it")
        if method == "integrated_gradients" and (complete := self.completeness(row)) is not None:
            gap, rise = complete
            lines.append(f"sum {rise:+.1f}, gap {gap / max(abs(rise), 1e-12):.1%}")
        if method == "occlusion":
            lines.append(f"logit falls by {max(0.0, float(values.max())):.1f}")
        doubtful = found is not None and not found.explains
        return AttributionMap(WORDS[method], values, [*lines, *(DOUBTFUL if doubtful else ())], doubtful)


def _networks(run: Explained) -> Iterator[tuple[nn.Module, torch.device]]:
    """Yield every network of a run, one in memory at a time."""
    network = verb(run.spec, "explain", run.folder)
    for member in run.members or (run,):
        trained = member.trained
        yield network(trained), trained.engine.device
        if run.members:
            member.release()


def _attribute(run: Explained, asked: Asked, classes: Tensor, baseline: Tensor) -> _Attributed:
    """Compute the maps with every network, and hold them against those of random weights."""
    chosen = list(methods.METHODS) if asked.method == "all" else [asked.method]
    found = _Attributed({}, {}, [])
    correlations: dict[str, list[Randomised]] = {}
    count = max(1, len(run.members))
    for network, device in _networks(run):
        images, target, base = asked.images.to(device).float(), classes.to(device), baseline.to(device)
        layers = methods.layers_of(network, images)
        if "grad_cam" in chosen and asked.method == "all" and asked.layer is None and layers.last_map is None:
            chosen.remove("grad_cam")
            found.notes.append(
                "Grad-CAM is left out: the network has no feature map, since its layers are not arranged as the image is."
            )
        if "grad_cam" in chosen:
            found.layer = methods.map_layer(network, images, asked.layer)
        for method in chosen:
            maps = _maps(method, network, images, target, base, found.layer).cpu()
            found.maps[method] = found.maps.get(method, 0) + maps / count
            if asked.check:
                some = slice(0, CHECKED)

                def of(other: nn.Module, method: str = method) -> Tensor:
                    return _maps(method, other, images[some], target[some], base, found.layer, CHECK_STEPS).cpu()  # noqa: B023  used at once

                correlations.setdefault(method, []).append(sanity_check(network, layers.weighted, maps[some], of))
        if "integrated_gradients" in chosen:
            above = methods.rise(network, images, target, base).cpu() / count
            found.rise = above if found.rise is None else found.rise + above
    found.sanity = {method: Randomised.mean(each) for method, each in correlations.items()}
    return found


def _maps(
    method: str,
    network: nn.Module,
    images: Tensor,
    classes: Tensor,
    baseline: Tensor,
    layer: str | None,
    steps: int = STEPS,
) -> Tensor:
    if method == "grad_cam":
        return methods.grad_cam(network, images, classes, layer)
    if method == "integrated_gradients":
        return methods.integrated_gradients(network, images, classes, baseline, steps=steps)
    return methods.occlusion(network, images, classes, baseline)


def _training_data(run: Explained, known: RunData, notes: list[str]) -> Dataset | None:
    """Return the data that the run was trained on; None where they are not there any more, which a note says."""
    options = data_options(dict(run.spec.data), known.rule.peaks)
    try:
        data = seewhy_data.load_dataset(run.spec.source, **options, labels=run.spec.family.labels)
    except InputError as error:
        notes.append(
            f"The nearest training images are left out, for the training data cannot be read any more: {error}"
        )
        return None
    if data.fingerprint == known.values.get("fingerprint"):
        return data
    notes.append(
        f"The nearest training images are left out, for {run.spec.source} has changed since the run was started."
    )
    return None


def _nearest(
    run: Explained, data: Dataset, asked: Asked, notes: list[str], progress: Progress | None
) -> list[list[Neighbour]]:
    """Return the nearest training images of every image, the nearest first.

    Distances are between the inputs of the last layer, scaled to length 1 (of an ensemble, root mean squares over its members).
    """
    queries = _features(run, lambda start: asked.images[start : start + CHUNK], len(asked.images), None)
    candidates = _training_features(run, data, notes, progress)
    count = min(asked.nearest, len(candidates))
    distances, rows = torch.empty(len(queries), 0, dtype=torch.float64), torch.empty(len(queries), 0, dtype=torch.int64)
    for start in range(0, len(candidates), BLOCK):
        block = candidates[start : start + BLOCK]
        near, at = nearest_neighbours(queries, block, min(count, len(block)))
        distances, rows = torch.cat([distances, near], 1), torch.cat([rows, at + start], 1)
        distances, order = distances.sort(dim=1, stable=True)
        distances, rows = distances[:, :count], rows.gather(1, order)[:, :count]
    return [_neighbours(data, row, distance) for row, distance in zip(rows, distances.tolist(), strict=True)]


def _neighbours(data: Dataset, rows: Tensor, distances: Sequence[float]) -> list[Neighbour]:
    images = to_pixels(data.train.images(rows))
    return [
        Neighbour(images[at], data.classes[int(data.train.labels[row])], str(data.train.names[row]), distances[at])
        for at, row in enumerate(rows.tolist())
    ]


def _training_features(run: Explained, data: Dataset, notes: list[str], progress: Progress | None) -> Tensor:
    """Return the features of the training images, from beside the run where they are of these weights and images."""
    path = run.folder / FOLDER / "features.safetensors"
    weights = "-".join(digest_of(member.weights()) for member in run.members or (run,))
    key = f"{weights} {data.fingerprint}"
    try:
        kept = load_tensors(path)
        if bytes(kept["key"].tolist()).decode() == key:
            features: Tensor = kept["features"]
            return features
    except (InputError, RunError, KeyError):  # not there or damaged: they are computed again
        pass
    count = len(data.train)
    features = _features(
        run, lambda start: data.train.images(torch.arange(start, min(start + CHUNK, count))), count, progress
    )
    try:
        save_tensors({"features": features, "key": torch.tensor(list(key.encode()), dtype=torch.uint8)}, path)
    except RunError as error:
        notes.append(f"The features of the training images are not kept for the next time: {error}")
    return features


def _features(run: Explained, images: Callable[[int], Tensor], count: int, progress: Progress | None) -> Tensor:
    """Return the features of images, chunk by chunk: float32 (N, D), of length 1.

    Args:
        run: whose networks.
        images: from where a chunk starts to its images.
        count: N.
        progress: told what is done of all.
    """
    parts = []
    total = count * max(1, len(run.members))
    for number, (network, device) in enumerate(_networks(run)):
        rows = []
        for start in range(0, count, CHUNK):
            rows.append(F.normalize(methods.penultimate(network, images(start).to(device)).features.cpu()))
            if progress is not None:
                progress(number * count + min(start + CHUNK, count), total)
        parts.append(torch.cat(rows))
    return torch.cat(parts, dim=1).div(len(parts) ** 0.5)
