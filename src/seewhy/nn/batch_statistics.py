"""Batch normalisation that starts as the identity, and running statistics recomputed from data.

With gamma = sqrt(var + eps) and beta = mean, mean and var those of the layer's own input,

    y = gamma (x - mean) / sqrt(var + eps) + beta = x

so a batch normalisation can enter a network, or be switched on in one, without changing the function that it computes at that moment, in
training (on the batch that was measured) and in evaluation. From then on it learns like any other.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, distributed, nn
from torch.nn.modules.batchnorm import _BatchNorm

from seewhy.core.errors import InputError
from seewhy.core.registry import Registry, Technique
from seewhy.nn.normalisation import BatchNorm, InstanceNorm
from seewhy.nn.observe import BATCH_NORMS, observed
from seewhy.nn.saturation import is_activation

NormInit = Callable[[nn.Module, Iterable[Any]], None]
"""`f(module, batches)` sets gamma and beta of every batch normalisation inside `module`, in place."""

NORM_INITS: Registry[NormInit] = Registry("normalisation starts", "norm_init")

Norm = BatchNorm | _BatchNorm


@dataclass
class Moments:
    """Count, mean and sum of squared differences from it, for each feature, in float64 (Chan et al. 1983)."""

    count: float
    mean: Tensor
    squares: Tensor

    @classmethod
    def empty(cls, features: int, device: torch.device) -> Moments:
        """Return the moments of no values."""
        zeros = torch.zeros(features, dtype=torch.float64, device=device)
        return cls(0.0, zeros, zeros.clone())

    def add(self, x: Tensor) -> None:
        """Take in values (N, features, ...)."""
        values = x.detach().transpose(0, 1).flatten(1)
        count = values.shape[1]
        var, mean = torch.var_mean(values.to(torch.promote_types(x.dtype, torch.float32)), dim=1, correction=0)
        self.merge(Moments(count, mean.double(), var.double() * count))

    def merge(self, other: Moments) -> None:
        """Take in the values that another has counted."""
        total = self.count + other.count
        if not other.count:
            return
        difference = other.mean - self.mean
        self.mean = self.mean + difference * (other.count / total)
        self.squares = self.squares + other.squares + difference.square() * (self.count * other.count / total)
        self.count = total

    def over_processes(self) -> Moments:
        """Return the moments of the values of all processes; those of this one where it is alone."""
        if not (distributed.is_available() and distributed.is_initialized() and distributed.get_world_size() > 1):
            return self
        row = torch.cat([self.mean, self.squares, self.mean.new_tensor([self.count])])
        rows = [torch.empty_like(row) for _ in range(distributed.get_world_size())]
        distributed.all_gather(rows, row)
        total = Moments.empty(len(self.mean), self.mean.device)
        for other in rows:
            mean, squares = other[:-1].chunk(2)
            total.merge(Moments(float(other[-1]), mean, squares))
        return total


@torch.no_grad()
def start_as_identity(module: nn.Module, batches: Iterable[Any]) -> None:
    """Set every batch normalisation inside `module` so that it passes its input through, in place.

    gamma, beta and running statistics come from the values of all batches together. Afterwards the network computes what it would without its
    batch normalisations: exactly, but for rounding, in evaluation, and in training on a batch of the same statistics.

    Args:
        module: the network; it runs as described in `observed`, its batch normalisations passing their inputs through.
        batches: what the network is called with, one after the other; one batch is enough.

    Raises:
        InputError: a batch normalisation lacks gamma or beta, or no batch reaches it.
    """
    _start(module, _norms(module), batches)


@torch.no_grad()
def start_as_standard(module: nn.Module, batches: Iterable[Any]) -> None:  # noqa: ARG001
    """Set gamma = 1, beta = 0 and running statistics (0, 1) in every batch normalisation inside `module`, in place; `batches` is not used."""
    for norm in _norms(module).values():
        if norm.weight is not None:
            norm.weight.fill_(1.0)
        if norm.bias is not None:
            norm.bias.zero_()
        _set_statistics(norm, torch.zeros(1), torch.ones(1))


def insert_batch_norm(module: nn.Module, batches: Iterable[Any]) -> tuple[str, ...]:
    """Put a batch normalisation in front of every activation inside `module`, in place, without changing the network's function.

    Each activation module becomes `Sequential(norm, act)` unless a normalisation stands directly before it. The new layers start as the
    identity.

    Args:
        module: the network, a module that has its activations as submodules.
        batches: what the network is called with, at least one.

    Returns:
        The names of the new normalisations.

    Raises:
        InputError: an activation is used several times, the network has none to normalise, or there is no batch.
    """
    batches = list(batches)
    if not batches:
        raise InputError("batches: must hold at least one batch, got none")
    targets = _activations_to_normalise(module, batches[0])
    if not targets:
        raise InputError(
            "module: must have activations without a normalisation before them, as submodules; it has none"
        )
    for name, (features, device) in targets.items():
        parent, act = module.get_submodule(name.rpartition(".")[0]), module.get_submodule(name)
        norm = BatchNorm(features).to(device)
        pair = nn.Sequential(OrderedDict(norm=norm, act=act)).train(act.training)
        setattr(parent, name.rpartition(".")[2], pair)
    new = {f"{name}.norm" for name in targets}
    with torch.no_grad():
        _start(module, {name: norm for name, norm in _norms(module).items() if name in new}, batches)
    return tuple(sorted(new))


@torch.no_grad()
def recompute_statistics(module: nn.Module, batches: Iterable[Any]) -> None:
    """Set the running statistics of every batch normalisation inside `module` to those of all batches together, in place.

    Needed where weights were not reached by training steps: after weights were averaged, or interpolated. Mean and variance (unbiased) are
    those of all values that a layer is given, each batch normalised by its own statistics on the way, as in training; neither the order of the
    batches matters nor how processes share them.

    Args:
        module: the network; it runs as described in `observed`.
        batches: what the network is called with, one after the other; processes must have equally many.

    Raises:
        InputError: no batch reaches a batch normalisation.
    """
    norms = _norms(module)
    for name, moments in _measured(module, norms, batches, bypass=False).items():
        _set_statistics(norms[name], moments.mean, moments.squares / max(1.0, moments.count - 1))


def _norms(module: nn.Module) -> dict[str, Norm]:
    """Return the batch normalisations that keep running statistics, by name."""
    norms = {name: part for name, part in module.named_modules() if isinstance(part, BATCH_NORMS)}
    return {name: part for name, part in norms.items() if part.running_mean is not None}


def _start(module: nn.Module, norms: dict[str, Norm], batches: Iterable[Any]) -> None:
    for name, norm in norms.items():
        if norm.weight is None or norm.bias is None:
            raise InputError(
                f"norm_init: 'identity' needs a learned scale and shift, which {name or 'the normalisation'} lacks; "
                "choose 'standard', or give it a scale"
            )
    for name, moments in _measured(module, norms, batches, bypass=True).items():
        norm = norms[name]
        # The biased variance, which a batch is normalised by, so that training and evaluation agree at first.
        _set_statistics(norm, moments.mean, moments.squares / moments.count)
        _of(norm.weight).copy_((_of(norm.running_var) + norm.eps).sqrt())
        _of(norm.bias).copy_(_of(norm.running_mean))


def _measured(module: nn.Module, norms: dict[str, Norm], batches: Iterable[Any], *, bypass: bool) -> dict[str, Moments]:
    """Return the moments of what each normalisation is given; with `bypass` they pass it on unchanged."""
    moments = {
        name: Moments.empty(_of(norm.running_mean).numel(), _of(norm.running_mean).device)
        for name, norm in norms.items()
    }

    def measure(name: str) -> Callable[..., None]:
        return lambda _, inputs: moments[name].add(inputs[0])

    with observed(module) as until_done:
        for name, norm in norms.items():
            until_done(norm.register_forward_pre_hook(measure(name)))
            if bypass:
                until_done(norm.register_forward_hook(lambda _, inputs, __: inputs[0]))
        for batch in batches:
            module(batch)
    moments = {name: values.over_processes() for name, values in moments.items()}
    missed = [name for name, values in moments.items() if not values.count]
    if missed:
        raise InputError(
            f"batches: must reach every batch normalisation, but {missed[0]!r} was given nothing; give one batch or more"
        )
    return moments


def _set_statistics(norm: Norm, mean: Tensor, var: Tensor) -> None:
    _of(norm.running_mean).copy_(mean.expand_as(_of(norm.running_mean)))
    _of(norm.running_var).copy_(var.expand_as(_of(norm.running_var)))


def _of(tensor: Tensor | None) -> Tensor:
    assert tensor is not None, "only normalisations that have it come here"
    return tensor


def _activations_to_normalise(module: nn.Module, batch: Any) -> dict[str, tuple[int, torch.device]]:
    """Return the number of features that come, and where, to each activation without a normalisation before it, by the activation's name."""
    features: dict[str, tuple[int, torch.device]] = {}
    normalised: list[Tensor] = []
    used: set[str] = set()

    def before(name: str) -> Callable[..., None]:
        def note(_: nn.Module, inputs: tuple[Tensor, ...]) -> None:
            if name in used:
                raise InputError(f"module: {name} is used several times; give each use a module of its own")
            used.add(name)
            if not any(inputs[0] is y for y in normalised):
                features[name] = (inputs[0].shape[1], inputs[0].device)

        return note

    with observed(module) as until_done, torch.no_grad():
        for name, part in module.named_modules():
            if is_activation(part) and name:
                until_done(part.register_forward_pre_hook(before(name)))
            elif isinstance(part, (*BATCH_NORMS, InstanceNorm, nn.LayerNorm, nn.GroupNorm)):
                until_done(part.register_forward_hook(lambda _, __, y: normalised.append(y)))
        module(batch)
    return features


NORM_INITS.add(
    Technique(
        name="standard",
        factory=start_as_standard,
        summary="features start with mean 0 and standard deviation 1",
        formula="gamma = 1, beta = 0",
        source="Ioffe & Szegedy 2015, 1502.03167",
        good_for="training from the beginning",
        bad_for="a trained network: its function changes at once",
    )
)
NORM_INITS.add(
    Technique(
        name="identity",
        factory=start_as_identity,
        summary="the layer starts as if it were not there",
        formula="gamma = sqrt(var + eps), beta = mean, measured on the first batches: y = x",
        source="Ioffe & Szegedy 2015, 1502.03167, section 3",
        good_for="putting batch normalisation into a trained network",
        bad_for="repairing a bad initialisation: it keeps the scale that there is",
        claims=("C11",),
        example="--model.norm.init identity",
    )
)
