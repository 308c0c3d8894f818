"""Learning rates that differ from layer to layer (discriminative fine-tuning: Howard & Ruder 2018, 1801.06146)."""

from __future__ import annotations

from collections.abc import Mapping

import torch

from seewhy.core.errors import bad_value


def scale_rates(optimizer: torch.optim.Optimizer, factors: Mapping[str, float]) -> None:
    """Split an optimiser's groups by the share of the learning rate that each parameter has, in place, before the first step.

    The groups with the largest share come first. Every parameter is in exactly one group, as it was.

    Args:
        optimizer: made from named parameters.
        factors: shares within (0, 1] by the parameters' names; 1 for those that are not named.

    Raises:
        InputError: a share is out of range.
    """
    for name, factor in factors.items():
        if not 0 < factor <= 1:
            raise bad_value(f"factors[{name!r}]", factor, "more than 0 and at most 1")
    if not factors:
        return
    groups = []
    for group in optimizer.param_groups:
        shares = [factors.get(name, 1.0) for name in group["param_names"]]
        for share in sorted(set(shares), reverse=True):
            chosen = [index for index, other in enumerate(shares) if other == share]
            groups.append(
                {
                    **group,
                    "params": [group["params"][index] for index in chosen],
                    "param_names": [group["param_names"][index] for index in chosen],
                    "lr": group["lr"] * share,
                }
            )
    optimizer.param_groups[:] = sorted(groups, key=lambda group: -group["lr"])
