"""What is measured of a network's parameters: norms, what a step changes, gradients; of a sample of the entries where there are many."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from seewhy.diagnosis.records import ParameterRecord
from seewhy.diagnosis.values import dense

SAMPLE = 256
"""Entries of each parameter of which updates are measured."""

NORMAL = 4096
"""Entries of an embedding that are compared with a standard normal distribution."""

UNITS, WEIGHTS = 64, 1024
"""Units of a matrix, and weights of each, that are compared with one another."""

ALIKE = 1e-6
"""Relative difference of two units' weights below which they are the same: sums may be taken in another order."""

Named = Sequence[tuple[str, Tensor]]


def entries(p: Tensor) -> Tensor:
    """Return some entries of a parameter, flat; of a complex one both parts."""
    flat = dense(torch.view_as_real(p.detach().resolve_conj()) if p.is_complex() else p)
    return flat[:: max(1, flat.numel() // SAMPLE)][:SAMPLE]


def sample(parameters: Named) -> Tensor | None:
    """Return some entries of every parameter, one after the other, float32, on the first one's device."""
    parts = [entries(p) for _, p in parameters]
    return torch.cat([part.to(parts[0].device, torch.float32) for part in parts]) if parts else None


def gradient_sample(parameters: Named) -> Tensor | None:
    """Return the gradients of the entries that `sample` returns; None where a parameter has none, or a sparse one."""
    grads = [p.grad for _, p in parameters if p.grad is not None and not p.grad.is_sparse]
    if len(grads) < len(parameters) or not grads:
        return None
    return sample([("", grad) for grad in grads])


def gradient_norms(parameters: Named) -> dict[str, float]:
    """Return the norm of each parameter's gradient, by name, where there is one."""
    graded = {name: p.grad.detach() for name, p in parameters if p.grad is not None}
    if not graded:
        return {}
    values = [grad.coalesce().values() if grad.is_sparse else grad for grad in graded.values()]
    norms = torch._foreach_norm(values)
    device = norms[0].device
    return dict(zip(graded, torch.stack([norm.to(device, torch.float32) for norm in norms]).tolist(), strict=True))


@torch.no_grad()
def agreements(parameters: Named) -> dict[str, float]:
    """Return of each matrix with a gradient the mean over its units of |sum g| / sum |g|, by name.

    The weight gradients of a unit whose inputs are all of one sign agree in sign at each example: they can only rise or fall together, and
    the path zigzags (LeCun et al. 1998).
    """
    found = {}
    for name, p in parameters:
        if p.grad is None or p.grad.is_sparse or p.dim() < 2 or p.is_complex():
            continue
        grad = p.grad[:UNITS].flatten(1)[:, :WEIGHTS].float()
        size = grad.abs().sum(1)
        agreement = grad.sum(1).abs_() / size  # NaN where there is no gradient
        if (mean := float(agreement.nanmean())) == mean:
            found[name] = mean
    return found


@torch.no_grad()
def alike(p: Tensor) -> bool:
    """Whether all units of a matrix have the same weights."""
    if p.dim() < 2 or p.shape[0] < 2 or p[0].numel() < 2 or p.is_complex():
        return False
    some = p.detach()[:UNITS].flatten(1)[:, :WEIGHTS].float()
    few_first = (some[:2], some)  # two tell of nearly all matrices that not all are alike
    return all(bool((rows[1:] - rows[0]).abs().amax() <= ALIKE * rows.abs().amax()) for rows in few_first)


@torch.no_grad()
def parameter_records(
    parameters: Named,
    held: set[int],
    graded: dict[str, float],
    agreement: dict[str, float],
    before: Tensor | None,
    after: Tensor | None,
) -> tuple[ParameterRecord, ...]:
    """Return the records of all parameters after a step.

    Args:
        parameters: by name.
        held: identities of those that an optimiser holds.
        graded: norms of their gradients, by name.
        agreement: of the signs of a unit's gradients, by name.
        before: their `sample` before the step; None without a step.
        after: their `sample` after it; None where there is none.
    """
    if after is None:
        return ()
    sizes = [len(entries(p)) for _, p in parameters]
    vectors = [after]
    if before is not None and len(before) == len(after):
        old = before.to(after.device)
        vectors += [after - old, old]
    table = [torch.stack(torch._foreach_norm(torch.split(vector, sizes))) for vector in vectors]
    if len(vectors) > 1:
        table.append(torch.stack([-part.sum() for part in torch.split(vectors[1] * old, sizes)]))
    columns = torch.stack(table).tolist()
    weights = columns[0]
    records = []
    for place, (name, p) in enumerate(parameters):
        moved = shrinks = update = None
        if len(columns) > 1:
            change_, was_, product = (column[place] for column in columns[1:])
            moved = change_ > 0
            update = change_ / weights[place] if weights[place] else math.inf if moved else 0.0
            shrinks = product / (change_ * was_) if change_ * was_ > 0 else 0.0
        records.append(
            ParameterRecord(
                name,
                graded.get(name),
                weights[place],
                update,
                moved,
                id(p) in held,
                shrinks,
                alike(p),
                agreement.get(name),
                p.numel(),
                p.dim() > 1 and p.shape[0] > 1,  # a token or position that is added to all is none
            )
        )
    return tuple(records)


@torch.no_grad()
def untouched(module: nn.Module) -> tuple[str, ...]:
    """Return the frozen weight matrices that are as torch's layers draw them: uniform within 1 / sqrt(fan-in), which no training leaves."""
    found = []
    for name, p in module.named_parameters():
        if p.requires_grad or p.dim() < 2 or p.numel() < 64 or not p.is_floating_point():
            continue
        bound = 1 / math.sqrt(p[0].numel())
        some = entries(p).float()
        most, std = float(some.abs().max()) / bound, float(some.std()) / bound * math.sqrt(3)
        if 0.9 < most <= 1 and 0.85 < std < 1.15:
            found.append(name)
    return tuple(found)


@torch.no_grad()
def untouched_embeddings(module: nn.Module) -> tuple[str, ...]:
    """Return the frozen embeddings that are as torch draws them, standard normal: trained ones have another size, and longer tails."""
    found = []
    for path, part in module.named_modules():
        if not isinstance(part, nn.Embedding) or part.weight.requires_grad or part.weight.numel() < SAMPLE:
            continue
        flat = dense(part.weight).float()
        some = flat[:: max(1, flat.numel() // NORMAL)]
        std, mean = (float(value) for value in torch.std_mean(some))
        tails = float((some - mean).pow(4).mean()) / std**4 if std else 0.0
        if abs(mean) < 0.15 and 0.9 < std < 1.1 and 2.3 < tails < 3.8:
            found.append(f"{path}.weight" if path else "weight")
    return tuple(found)
