"""Class labels of class-conditional models: one for each image, as a one-hot vector beside what a layer reads.

Letters: N images, K classes, F features.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from seewhy.core.errors import InputError, bad_value


def validate_labels(labels: Tensor | None, classes: int | None, count: int) -> None:
    """Raise InputError unless there are labels exactly where a model is class-conditional, one for each of `count` images.

    Their values are read on the processor only: elsewhere every step of a training would wait for them.
    """
    if labels is None and classes is None:
        return
    if labels is None:
        raise InputError(f"labels: must be given, one of {classes} classes for each image, got None")
    if classes is None:
        raise InputError("labels: the model is not class-conditional; leave them out, or build it with classes")
    if labels.shape != (count,) or labels.dtype != torch.int64:
        raise bad_value("labels", f"{labels.dtype} {tuple(labels.shape)}", f"int64 ({count},), one for each image")
    if torch.compiler.is_exporting() or labels.device.type != "cpu":  # a graph that is traced has no values yet
        return
    if count and not 0 <= int(labels.min()) <= int(labels.max()) < classes:
        raise bad_value("labels", (int(labels.min()), int(labels.max())), f"from 0 to {classes - 1}")


def validate_classes(classes: int | None) -> None:
    """Raise InputError unless the number of classes is positive, or None."""
    if classes is not None and classes < 1:
        raise bad_value("classes", classes, "at least 1, or None")


def append_one_hot(x: Tensor, labels: Tensor | None, classes: int | None) -> Tensor:
    """Return x (*, N, F) with the one-hot vectors of labels (N) behind its features, (*, N, F + K); x itself without classes.

    The next layer then has a bias for each class (Mirza & Osindero 2014, 1411.1784).
    """
    if labels is None or classes is None:
        return x
    return torch.cat([x, F.one_hot(labels, classes).to(x.dtype).expand(*x.shape[:-1], classes)], dim=-1)
