"""The verb that all generative models have: sample."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from seewhy.core.seeding import rng
from seewhy.models.family import Trained
from seewhy.models.generative.arguments import validate_integer, validate_temperature
from seewhy.models.generative.conditioning import Label, labels_for

MAX_IMAGES = 1_000_000
"""Images that are generated in one call, at most."""


@torch.no_grad()
def sample(
    trained: Trained, n: Any, *, label: Label = None, seed: int = 0, temperature: Any = 1.0, **options: Any
) -> Tensor:
    """Return n generated images, uint8 (n, C, H, W); equal seeds give equal images on one machine.

    Args:
        trained: a generative model.
        n: from 1 to 1,000,000.
        label: a class, or one for each image; None: all in turn, where the model is class-conditional.
        seed: of the noise.
        temperature: below 1 likelier images, above 1 more varied ones.
        options: of the model's own `sample`, validated by its family.

    Raises:
        InputError: an argument is wrong.
    """
    n, temperature = validate_integer("n", n, 1, MAX_IMAGES), validate_temperature(temperature)
    labels = labels_for(trained, label, n)
    noise = rng(seed, "sample", device=trained.engine.device)
    return torch.as_tensor(trained.model.sample(n, labels, rng=noise, temperature=temperature, **options)).cpu()
