"""Normalisation layers by name."""

from __future__ import annotations

from collections.abc import Callable

from torch import nn

from seewhy.core.registry import Registry, Technique

Norm = Callable[..., nn.Module]
"""`f(*, features, dims)`."""

NORMS: Registry[Norm] = Registry("normalisations", "model.norm")


def norm(name: str, features: int, *, dims: int) -> nn.Module:
    """Return a new normalisation layer.

    Args:
        name: one of `NORMS`.
        features: size of axis 1 of the input.
        dims: 1 for inputs (N, features), 2 for inputs (N, features, H, W).

    Raises:
        InputError: the name is not known.
    """
    return NORMS[name].factory(features=features, dims=dims)


def _batch(*, features: int, dims: int) -> nn.Module:
    return nn.BatchNorm1d(features) if dims == 1 else nn.BatchNorm2d(features)


def _none(*, features: int, dims: int) -> nn.Module:  # noqa: ARG001
    return nn.Identity()


NORMS.add(Technique(name="batch", factory=_batch, summary="per feature over the batch"))
NORMS.add(Technique(name="none", factory=_none, summary="no normalisation"))
