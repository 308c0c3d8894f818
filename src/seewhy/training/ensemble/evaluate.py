"""How good an ensemble is, beside its members.

Letters: M members, N images, K classes, p_m the probabilities of member m. The ensemble predicts p = mean over m of p_m.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn

from seewhy import data as seewhy_data
from seewhy.core.files import write_json
from seewhy.core.seeding import generator
from seewhy.data import Part
from seewhy.training.results.evaluation import Evaluation, disagreement, evaluate, log_loss, predict_part
from seewhy.training.results.finish import keep
from seewhy.training.results.folder import RunFolder
from seewhy.training.results.zeros import zeros

MOST_SUBSETS = 50
"""Subsets of the members that are tried for each number of members."""


def finish(run: RunFolder) -> RunFolder:
    """Evaluate the ensemble and each member on validation and test data; write results.json, evaluation.json and ensemble.json."""
    fields = {**run.spec.data.model_dump(), "resolution": run.data["facts"]["width"]}
    dataset = seewhy_data.prepare(run.spec.source, **fields)
    results: dict[str, Any] = {}
    details = {}
    for name, part in {"val": dataset.val, "test": dataset.test}.items():
        if part is None or not len(part):
            continue
        members = member_probabilities(run, part)
        mean = members.mean(0)
        found = evaluate(name, dataset.classes, mean, part.labels)
        results[name] = found.headline()
        details[name] = compare(name, dataset.classes, members, part.labels, found)
        keep(run, found, part, mean)
    if run.spec.reg.l1 and run.spec.train.snapshots > 1:  # members that are runs have told it themselves
        results["weights"] = zeros(_networks(run), run.spec.reg)
    write_json(run.folder / "ensemble.json", details)
    write_json(run.folder / "results.json", results)  # last: it says that the run has ended
    return run


def _networks(run: RunFolder) -> Iterator[nn.Module]:
    """Yield the network of every member; one is in memory at a time."""
    for member in run.members:
        yield member.model
        member.release()


def member_probabilities(run: RunFolder, part: Part) -> Tensor:
    """Return the probabilities (M, N, K), float32, of every member on a part; one network is in memory at a time."""
    found = []
    for member in run.members:
        found.append(predict_part(member.engine, member.task, member.model, part))
        member.release()
    return torch.stack(found)


def compare(
    name: str, classes: tuple[str, ...], members: Tensor, labels: Tensor, ensemble: Evaluation
) -> dict[str, Any]:
    """Return the figures of the members beside those of the ensemble, as JSON values.

    `gain` is the accuracy of the ensemble minus the mean of the members', with the 95% interval of the mean of the differences per image.
    """
    each = [evaluate(name, classes, probabilities, labels).headline() for probabilities in members]
    right = (members.argmax(2) == labels).float().mean(0)
    differences = (members.mean(0).argmax(1) == labels).float() - right
    gain, n = differences.mean().item(), len(labels)
    half = 1.959964 * differences.std(correction=1).item() / math.sqrt(n) if n > 1 else 0.0
    apart = disagreement(members)
    hit = members.mean(0).argmax(1) == labels
    return {
        "members": each,
        "gain": gain,
        "gain_interval": [gain - half, gain + half],
        "disagreement": apart.mean().item(),
        "disagreement_right": apart[hit].mean().item() if hit.any() else None,
        "disagreement_wrong": apart[~hit].mean().item() if (~hit).any() else None,
        "ece": ensemble.ece,
        "by_number": by_number(members, labels),
    }


def by_number(members: Tensor, labels: Tensor) -> list[dict[str, float]]:
    """Return accuracy and log-loss (nats) of ensembles of m = 1 .. M members, means over all subsets of m, or over 50 drawn ones."""
    count, rows = len(members), []
    for size in range(1, count + 1):
        if math.comb(count, size) <= MOST_SUBSETS:
            subsets = [list(subset) for subset in itertools.combinations(range(count), size)]
        else:
            random = generator(0, "subsets", size)
            subsets = [torch.randperm(count, generator=random)[:size].tolist() for _ in range(MOST_SUBSETS)]
        accuracies, losses = [], []
        for subset in subsets:
            mean = members[subset].mean(0)
            accuracies.append((mean.argmax(1) == labels).float().mean().item())
            losses.append(log_loss(mean, labels))
        rows.append(
            {"members": size, "accuracy": sum(accuracies) / len(subsets), "log_loss": sum(losses) / len(subsets)}
        )
    return rows
