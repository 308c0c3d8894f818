"""The classes of class-conditional models: from what people write to labels, one for each image."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from seewhy.core.errors import InputError, bad_value, unknown_name
from seewhy.models.family import Trained
from seewhy.spec import RunSpec
from seewhy.spec.generative import GenerativeSection

Label = str | int | Sequence[str | int] | Tensor | None
"""A class by name or number, one for each image, or None."""


def is_conditional(spec: RunSpec) -> bool:
    """Whether a specification's model is class-conditional."""
    assert isinstance(spec.model, GenerativeSection)
    return spec.model.conditional


def class_count(trained: Trained) -> int | None:
    """Return the number of classes of a class-conditional model; None of another."""
    return len(trained.classes) if is_conditional(trained.spec) else None


def labels_in_turn(trained: Trained, count: int) -> Tensor | None:
    """Return the label of each of `count` images, all classes in turn, on the engine's device; None where the model is not class-conditional."""
    classes = class_count(trained)
    return None if classes is None else torch.arange(count, device=trained.engine.device) % classes


def labels_for(trained: Trained, label: Label, count: int) -> Tensor | None:
    """Return the label of each of `count` images on the engine's device, None where the model is not class-conditional.

    Args:
        trained: a generative model.
        label: a class by name or number, one for each image, or None: all classes in turn.
        count: images.

    Raises:
        InputError: a class is not known, their number does not fit, or the model is not class-conditional.
    """
    if not is_conditional(trained.spec):
        if label is not None:
            raise InputError(
                f"label: {trained.folder} is not class-conditional, got {label!r}; leave it out, or train with model.conditional"
            )
        return None
    if label is None:
        return labels_in_turn(trained, count)
    plain: Any = label.tolist() if isinstance(label, (Tensor, np.ndarray, np.generic)) else label
    values = list(plain) if isinstance(plain, (list, tuple)) else [plain]
    if len(values) not in (1, count):
        raise bad_value("label", values, f"one class, or one for each of {count} images")
    labels = torch.tensor([_class_index(trained.classes, value) for value in values], device=trained.engine.device)
    return labels.expand(count) if len(values) == 1 else labels


def _class_index(classes: Sequence[str], label: Any) -> int:
    value = label.item() if isinstance(label, (np.generic, Tensor)) and label.ndim == 0 else label
    if isinstance(value, str):
        if value not in classes:
            raise unknown_name("label", value, classes)
        return classes.index(value)
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value < len(classes):
        raise bad_value("label", value, f"a class name, or a number from 0 to {len(classes) - 1}")
    return value
