"""Features that are computed once, where the part of a network that makes them is not trained.

The chunks are the same whatever the order of training, so that a run that goes on has the very features that it had.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from seewhy.data import Dataset, Split
from seewhy.models.family import Objective
from seewhy.training.events import Emit, FeatureProgress
from seewhy.training.fabric import Engine

CHUNK = 64
"""Images of a forward pass."""


@dataclass(frozen=True)
class FeatureStore:
    """Features in the place of images.

    Attributes:
        features: (N, D).
        places: int64, by row of the data set: where its features are.
    """

    features: Tensor
    places: Tensor

    @property
    def decodes(self) -> bool:
        """Features are ready."""
        return False

    def images(self, rows: Tensor) -> Tensor:
        """Return the features of rows [n]."""
        return self.features[self.places[rows]]

    @property
    def ready_bytes(self) -> int:
        """Of the features."""
        return self.features.nbytes

    def on(self, device: torch.device) -> FeatureStore:
        """Return the same with its features on a device."""
        return FeatureStore(self.features.to(device), self.places.to(device))


def frozen_names(objective: Objective, model: nn.Module) -> frozenset[str]:
    """Return the names in the model's state that training never changes: of the module whose features are computed once."""
    if objective.precomputed is None:
        return frozenset()
    return frozenset(name for name in model.state_dict() if name.startswith(f"{objective.precomputed.body}."))


def splits_of(
    objective: Objective, model: nn.Module, engine: Engine, dataset: Dataset, emit: Emit, *, fresh: bool
) -> tuple[Split, Split]:
    """Return the training and validation splits as the network's updates take them: of images, or of features computed here.

    Args:
        objective: of the run.
        model: on the engine's device; with `fresh` its weights that depend on features are set.
        engine: where.
        dataset: the images.
        emit: told how many images are done.
        fresh: whether the run begins here.
    """
    computed = objective.precomputed
    if computed is None:
        return dataset.train, dataset.val
    total, done = len(dataset.train) + len(dataset.val), 0
    splits = []
    for split in (dataset.train, dataset.val):
        own = torch.arange(engine.rank, len(split), engine.world)
        parts = []
        for positions in own.split(CHUNK) if len(own) else ():  # type: ignore[no-untyped-call]
            images = split.images(positions).to(engine.device, non_blocking=True)
            with engine.autocast():
                parts.append(computed.features(model, images))
            done += len(positions) * engine.world
            emit(FeatureProgress(min(done, total), total))
        if not parts:
            splits.append(split)
            continue
        features = engine.gather_rows(torch.cat(parts)).cpu()
        places = torch.zeros(int(split.sample_ids.max()) + 1, dtype=torch.long)
        places[split.sample_ids] = torch.arange(len(split))
        splits.append(replace(split, store=FeatureStore(features, places)))
        if fresh and split is dataset.train:
            computed.start(model, features, split.labels)
    model.train()
    return splits[0], splits[1]
