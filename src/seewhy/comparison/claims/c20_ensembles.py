"""C20: an ensemble beats its members, more so when they differ."""

from __future__ import annotations

import copy

import torch
from torch import Tensor, nn

from seewhy.comparison.claims.base import Claim, Criterion, Measured, differences
from seewhy.comparison.claims.fitting import best_rate, fit, mean_loss, mlp
from seewhy.comparison.claims.setting import Setting
from seewhy.comparison.claims.subsets import subset
from seewhy.core.seeding import rng
from seewhy.reporting.claim_records import Lines

MEMBERS = 5
RATES = (0.05, 0.1, 0.2, 0.4)
IMAGES = 400

KINDS = ("one run, five moments", "five seeds", "five bootstrap samples")


def measure(setting: Setting) -> Measured:
    """Average the predictions of members that differ less and more, and compare with the members themselves."""
    from seewhy.metrics import by_number, log_loss, mutual_information

    steps = setting.amount(300, 20)
    rate = best_rate(RATES, lambda lr, seed: _validation_loss(setting, lr, seed, steps))
    gain: dict[str, list[float]] = {name: [] for name in KINDS}
    accuracy: dict[str, list[float]] = {name: [] for name in KINDS}
    disagreement: dict[str, list[float]] = {name: [] for name in KINDS}
    curves: dict[str, list[list[float]]] = {name: [] for name in KINDS}
    for seed in range(setting.seeds):
        _, test = subset(setting, IMAGES, seed)
        labels = test.y
        for name in KINDS:
            members = torch.stack([_probabilities(net, test.x) for net in _members(setting, name, rate, seed, steps)])
            alone = torch.tensor([log_loss(member, labels) for member in members]).mean()
            gain[name].append(float(alone) - log_loss(members.mean(0), labels))
            rows = by_number(members, labels)
            accuracy[name].append(rows[-1]["accuracy"] - rows[0]["accuracy"])
            disagreement[name].append(float(mutual_information(members).mean()))
            curves[name].append([row["accuracy"] for row in rows])
    return Measured(
        criteria=(
            Criterion(
                text="an ensemble of five seeds has the higher accuracy",
                measure="test accuracy of the ensemble minus the mean of its members",
                values=tuple(accuracy["five seeds"]),
                low=0.0,
            ),
            Criterion(
                text="and the lower log loss",
                measure="mean log loss of the members minus that of the ensemble, nats",
                values=tuple(gain["five seeds"]),
                low=0.0,
            ),
            Criterion(
                text="members of different seeds gain more than moments of one run",
                measure="gain in log loss, five seeds minus five moments of one run, nats",
                values=differences(gain, "five seeds", "one run, five moments"),
                low=0.0,
            ),
            Criterion(
                text="members of different data gain more still",
                measure="gain in log loss, five bootstrap samples minus five seeds, nats",
                values=differences(gain, "five bootstrap samples", "five seeds"),
                low=0.0,
            ),
        ),
        experiment=f"Two hidden layers of 64 ReLU units on {IMAGES} training images, {steps} steps of momentum, batch 64, rate {rate:g} "
        f"(chosen on the validation images); {MEMBERS} members; the moments are a twentieth of the run apart, at its end.",
        figure=_curves(curves),
        remarks=tuple(
            (f"{name}: disagreement", f"{sum(values) / len(values):.3g} nats of mutual information")
            for name, values in disagreement.items()
        ),
    )


def _curves(curves: dict[str, list[list[float]]]) -> Lines:
    from seewhy.comparison.claims.layers import band

    return Lines(x="members", y="test accuracy", lines={name: band(runs) for name, runs in curves.items()})


def _members(setting: Setting, kind: str, rate: float, seed: int, steps: int) -> list[nn.Module]:
    """Return the members of an ensemble."""
    few, _ = subset(setting, IMAGES, seed)
    x, y = few.x, few.y
    if kind == KINDS[0]:
        moments: list[nn.Module] = []
        net = mlp(setting, seed=seed)

        def keep(step: int) -> None:
            if steps - step < MEMBERS * (steps // 20) and (steps - step) % (steps // 20) == 0:
                moments.append(copy.deepcopy(net))

        fit(net, x, y, steps=steps, lr=rate, seed=seed, observe=keep)
        return moments
    members = []
    for k in range(MEMBERS):
        own = 1000 * (seed + 1) + k
        rows = torch.arange(len(y))
        if kind == KINDS[2]:
            rows = torch.randint(len(y), (len(y),), generator=rng(own, "claims", "bootstrap"))
        net = mlp(setting, seed=own)
        fit(net, x[rows], y[rows], steps=steps, lr=rate, seed=own)
        members.append(net)
    return members


def _validation_loss(setting: Setting, lr: float, seed: int, steps: int) -> float:
    few, _ = subset(setting, IMAGES, seed)
    x, y = few.x, few.y
    net = mlp(setting, seed=seed)
    fit(net, x, y, steps=steps, lr=lr, seed=seed)
    return mean_loss(net, setting.val.x, setting.val.y)


@torch.no_grad()
def _probabilities(net: nn.Module, x: Tensor) -> Tensor:
    probabilities: Tensor = net.eval()(x).softmax(1)
    return probabilities


CLAIM = Claim(
    code="C20",
    title="An ensemble beats its members",
    sentence="An ensemble beats its members, more so when they differ.",
    source="Breiman 1996: averages over bootstrap samples help predictors that are unstable. "
    "Lakshminarayanan et al. 2017 (1612.01474): on MNIST five networks of different seeds beat one in accuracy and log loss, "
    "and bagging hurts networks. "
    "Krogh & Vedelsby 1995: the ensemble's error is the members' minus their disagreement.",
    measure=measure,
)
