"""Records of the ways to average several networks."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from seewhy.core.registry import Registry, Technique
from seewhy.optim import in_cycles
from seewhy.training.ensemble.members import member_specs
from seewhy.training.loop.averaging import MovingAverage

ENSEMBLES: Registry[Callable[..., Any]] = Registry("ensembles", "")
ENSEMBLES.add(
    Technique(
        name="deep_ensemble",
        factory=member_specs,
        summary="networks from different seeds, their probabilities averaged",
        formula="p = mean over m of p_m; disagreement H(p) - mean H(p_m)",
        source="Hansen & Salamon 1990; Lakshminarayanan et al. 2017, 1612.01474",
        good_for="accuracy and calibration when time is left; telling what is not known",
        bad_for="time and memory: M trainings, M predictions",
        claims=("C20",),
        choose="--members 5",
    )
)
ENSEMBLES.add(
    Technique(
        name="bagging",
        factory=member_specs,
        summary="networks from different bootstrap samples of the training images",
        formula="member m sees N images drawn with replacement; p = mean over m of p_m",
        source="Breiman 1996",
        good_for="unstable learners on little data",
        bad_for="deep networks, which different seeds tell apart enough and which miss the images",
        claims=("C20",),
        choose="--members 5 --train.bootstrap",
    )
)
ENSEMBLES.add(
    Technique(
        name="hyper_ensemble",
        factory=member_specs,
        summary="networks with different hyper-parameters, a list of edits in turn",
        formula="member m trains edit m mod E; p = mean over m of p_m",
        source="Wenzel et al. 2020, 2006.13570",
        good_for="members that differ more, and so gain more",
        bad_for="edits that make members much worse",
        claims=("C20",),
        choose="--members 4 --ensemble.edits 'model.activation = \"elu\"; optim.lr = 0.1'",
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
        choose="--train.snapshots 5",
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
        choose="--train.ema 0.999",
    )
)
