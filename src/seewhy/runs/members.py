"""From the request of an ensemble to those of its members, and the techniques by which several networks are averaged."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from typing import Any

from seewhy.core.errors import InputError
from seewhy.core.registry import Registry, Technique
from seewhy.optim import in_cycles
from seewhy.spec import Request, parse_edit
from seewhy.spec.check import family_for
from seewhy.training.averaging import MovingAverage

SHARED = ("source", "data", "ensemble")
"""What members have in common: their predictions are averaged image by image."""


def single(request: Request) -> Request:
    """Return the request of one network of an ensemble, before its seed and its edit."""
    changes: dict[str, Any] = {f"ensemble.{name}": None for name in ("members", "edits", "jobs")}
    return request.with_changes({**changes, "train.threads": member_threads(request)})


def member_requests(request: Request, settled: Mapping[str, Any]) -> tuple[Request, ...]:
    """Return the request of each member: the ensemble's own, with its seed and its edit.

    Args:
        request: of the ensemble.
        settled: fields that were settled for all (the budget, the device), by dotted path; an edit may change them.

    Raises:
        InputError: an edit is no TOML, changes what members share, leads to a wrong request, or to the same one twice; names the edit.
    """
    view, base = request.view(), single(request).with_changes(settled)
    edits = [read_edit(text, number) for number, text in enumerate(view["ensemble.edits"], start=1)] or [{}]
    members = []
    for index in range(view["ensemble.members"]):
        number = index % len(edits)
        try:
            members.append(base.with_changes({"train.seed": view["train.seed"] + index, **edits[number]}))
        except InputError as error:
            raise InputError(f"ensemble.edits: edit {number + 1}: {error}") from None
    for later, member in enumerate(members):
        if (first := members.index(member)) < later:
            raise InputError(
                f"ensemble.edits: members {first + 1} and {later + 1} would be the same network, for the edits set train.seed; "
                "leave it out, and each member has a seed of its own"
            )
    return tuple(members)


def read_edit(text: str, number: int) -> dict[str, Any]:
    """Read an edit as changes; raises InputError if it is none, or changes what the members share."""
    try:
        changes = parse_edit(text)
    except InputError as error:
        raise InputError(f"ensemble.edits: edit {number}: {error}") from None
    for path, value in changes.items():
        if path.split(".")[0] in SHARED:
            raise InputError(f"ensemble.edits: edit {number} cannot change {path}, which the members share")
        if path == "train.snapshots":
            raise InputError(
                f"ensemble.edits: edit {number} cannot change {path}: an ensemble of ensembles is one too many"
            )
        if path == "model.name" and value is not None and not family_for({"model": {"name": value}}).ensemble:
            raise InputError(
                f"ensemble.edits: edit {number}: {value} gives no probabilities to average; choose a classifier"
            )
    return changes


def jobs_at_once(request: Request) -> int:
    """Return how many members are trained at the same time."""
    view = request.view()
    members, jobs = view["ensemble.members"], view["ensemble.jobs"]
    if jobs is not None:
        return int(min(jobs, members))
    return 1 if view["train.device"] in ("cuda", "mps") else min(members, os.cpu_count() or 1)


def member_threads(request: Request) -> int:
    """Return the processor threads of one member: the cores are shared out."""
    threads = request.view()["train.threads"]
    return int(threads) if threads else max(1, (os.cpu_count() or 1) // jobs_at_once(request))


ENSEMBLES: Registry[Callable[..., Any]] = Registry("ensembles", "")
ENSEMBLES.add(
    Technique(
        name="deep_ensemble",
        factory=member_requests,
        summary="networks from different seeds, their probabilities averaged",
        formula="p = mean over m of p_m; disagreement H(p) - mean H(p_m)",
        source="Hansen & Salamon 1990; Lakshminarayanan et al. 2017, 1612.01474",
        good_for="accuracy and calibration when time is left; telling what is not known",
        bad_for="time and memory: M trainings, M predictions",
        claims=("C20",),
        example="--members 5",
    )
)
ENSEMBLES.add(
    Technique(
        name="bagging",
        factory=member_requests,
        summary="networks from different bootstrap samples of the training images",
        formula="member m sees N images sampled with replacement; p = mean over m of p_m",
        source="Breiman 1996",
        good_for="unstable learners on little data",
        bad_for="deep networks, which different seeds tell apart enough and which miss the images",
        claims=("C20",),
        example="--members 5 --train.bootstrap",
    )
)
ENSEMBLES.add(
    Technique(
        name="hyper_ensemble",
        factory=member_requests,
        summary="networks with different hyper-parameters, a list of edits in turn",
        formula="member m trains edit m mod E; p = mean over m of p_m",
        source="Wenzel et al. 2020, 2006.13570",
        good_for="members that differ more, and so gain more",
        bad_for="edits that make members much worse",
        claims=("C20",),
        example="--members 4 --ensemble.edits 'model.activation = \"elu\"; optim.lr = 0.1'",
    )
)
ENSEMBLES.add(
    Technique(
        name="snapshot",
        factory=in_cycles,
        summary="networks from the ends of the learning rate's cycles, in one training",
        formula="eta(t) = eta_0 / 2 (cos(pi (t mod T/M) / (T/M)) + 1); a network after every T/M steps",
        source="Huang et al. 2017, 1704.00109",
        good_for="an ensemble in the time of one long training",
        bad_for="short runs: a cycle must be long enough to learn",
        claims=("C20",),
        example="--train.snapshots 5",
    )
)
ENSEMBLES.add(
    Technique(
        name="ema",
        factory=MovingAverage,
        summary="one network whose weights are a moving average over the steps",
        formula="w_avg <- d w_avg + (1 - d) w",
        source="Polyak & Juditsky 1992; Tarvainen & Valpola 2017, 1703.01780",
        good_for="noisy steps at a constant rate; no cost in prediction",
        bad_for="short runs, whose first steps it remembers too long",
        example="--train.ema 0.999",
        hyperparameters=("decay",),
    )
)
