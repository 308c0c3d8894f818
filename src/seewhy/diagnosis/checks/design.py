"""How the network is made and drawn: weights at the start, what lies between the layers, what is frozen, dropout, batch norm's batch."""

from __future__ import annotations

import math
import statistics

from seewhy.core.findings import Remedy
from seewhy.diagnosis.checks.base import Check, Verdict, inapplicable, passed, seen, skipped
from seewhy.diagnosis.checks.progress import faded, poor, standing, updates
from seewhy.diagnosis.history import History
from seewhy.diagnosis.records import LayerRecord

EARLY, LATER, MANY = 5, 100, 8
SOME, SIGMOIDS = 20, 3
TOO_LARGE, TOO_SMALL, TINY = 10.0, 1e-3, 1e-5
"""Deviation of the last layer's outputs at the first step, and of any layer's, beside that of the inputs; the least one where it is not
known how the network learns."""

NARROW = 2
FEW_ROWS = 3
"""Images from which on batch norm's statistics are of some use (Wu & He 2018: the error rises steeply below 4)."""

DROPPED, MUCH_DROPPED = 0.7, 0.9


def _symmetric(history: History) -> Verdict:
    last = history.latest[-1]
    if not any(p.matrix for p in last.parameters):
        return inapplicable("there is no weight matrix")
    if last.step < EARLY or (not updates(last) and last.step < 2 * EARLY):
        return skipped(f"fewer than {EARLY} steps")
    alike = [p.name for p in last.parameters if p.alike]
    began = [p for p in history.first[0].parameters if p.alike and p.weight > 0 and p.size >= 4 * MANY]
    if not alike and history.first[0].step == 1 and len(began) > 1 and standing(history) not in ("well", "unknown"):
        # Rounding has set them apart since, which is no initialisation.
        return seen(
            f"all units of {began[0].name} began with the same weights, and so did those of {len(began) - 1} matrices more",
            [p.name for p in began],
            weights=len(began),
        )
    if not alike:
        return passed("units of a layer have weights of their own")
    zero = all(p.weight == 0 for p in last.parameters if p.alike)
    return seen(
        f"all units of {alike[0]} have the same weights{', 0' if zero else ''}, after {last.step} steps still: they compute the same and "
        "get the same gradient",
        alike,
        weights=len(alike),
    )


def _spreads(history: History) -> tuple[float, list[LayerRecord]] | None:
    first = history.first[0]
    if first.step != 1 or first.bad or not first.layers:
        return None
    if first.inputs is None:
        return 1.0, list(first.layers)
    size = math.hypot(statistics.fmean(first.inputs.mean), statistics.fmean(first.inputs.std))
    return size, list(first.layers)


def _too_large(history: History) -> Verdict:
    spreads = _spreads(history)
    if spreads is None:
        return inapplicable("the first step was not seen")
    size, layers = spreads
    last = layers[-1]
    if history.first[0].dropout >= MUCH_DROPPED:
        return inapplicable("dropout multiplies what it leaves")
    if not math.isfinite(last.std) or last.std < TOO_LARGE * max(size, 1.0):
        return passed("outputs are of a usual size at the first step")
    if standing(history) in ("well", "learns") and history.loop.step > LATER:
        return passed("outputs were large at the first step, but the network learns")
    return seen(
        f"at the first step the outputs of {last.layer} have a deviation of {last.std:.3g}, the inputs one of {size:.3g}: the weights are "
        "too large",
        (last.layer,),
        std=last.std,
        inputs=size,
    )


def _too_small(history: History) -> Verdict:
    spreads = _spreads(history)
    if spreads is None:
        return inapplicable("the first step was not seen")
    size, layers = spreads
    state = standing(history)
    if state == "well":
        return passed("the network learns well, however small signals were at the first step")
    if history.loop.step < SOME:
        return skipped(f"fewer than {SOME} steps")
    limit = TOO_SMALL if state != "unknown" else TINY
    hidden = [layer for layer in layers[:-1] if layer.spread is not None]  # a last layer at zero is a good beginning
    bound = limit * min(1.0, size)
    told = [layer.spread or 0.0 for layer in hidden]
    # Deep networks often begin so, and learn after a while.
    if state == "poor" and history.loop.step >= LATER and (fade := faded(history)) is not None:
        layer, share = fade
        return seen(
            f"at the first step {share:.2%} of the first layer's signal arrives at {layer.layer}, after {len(hidden)} layers: "
            "the weights are too small",
            [each.layer for each in hidden[1:]],
            spread=layer.spread,
            inputs=size,
        )
    if not told or told[0] > 0.1 * size:
        return passed("the first layer keeps the signal")
    if sum(a.function == "sigmoid" for a in history.first[0].activations) >= SIGMOIDS:
        return inapplicable("sigmoids shrink the signal, whatever the weights")
    if history.first[0].normalised:
        return inapplicable("norms bring signals back to their size")
    shrunk = [layer for layer, spread in zip(hidden, told, strict=True) if 0 < spread < bound]
    # One small layer among others is brought back by a norm, or is a branch of little weight.
    if not shrunk or told[-1] >= bound or statistics.median(told) >= 10 * bound:
        return passed("signals keep their size through the layers at the first step")
    return seen(
        f"at the first step the outputs of {shrunk[0].layer} differ from image to image by {shrunk[0].spread:.1g}, the "
        "inputs have a deviation "
        f"of {size:.2g}: the weights are too small",
        [layer.layer for layer in shrunk],
        spread=shrunk[0].spread,
        inputs=size,
    )


def _linear(history: History) -> Verdict:
    linear = history.first[0].linear
    if linear is None:
        return inapplicable("the graph was not looked at")
    if not linear:
        return passed("there are non-linear functions between the layers")
    if history.loop.step < 2 * SOME:
        return skipped(f"fewer than {2 * SOME} steps")
    if standing(history) in ("well", "unknown"):
        return passed("the network is linear; it learns well, or it is not known how it learns")
    return seen(
        f"nothing but linear maps lies between inputs and outputs: {len(history.first[0].layers)} layers are together one linear map",
        maps=len(history.first[0].layers),
    )


def _narrow(history: History) -> Verdict:
    last = history.latest[-1]
    if last.logits is None or last.logits.classes < 3:
        return inapplicable("the loss is no cross-entropy of three classes or more")
    hidden = [layer for layer in last.layers[:-1] if layer.units]
    least = min(hidden, key=lambda layer: layer.units, default=None)
    if least is None or NARROW * least.units >= last.logits.classes:
        return passed("no layer is much narrower than the number of classes")
    if last.step < LATER and not (last.step >= 2 * SOME and poor(history)):
        return skipped(f"fewer than {LATER} steps")
    if standing(history) == "well":
        return passed("a layer is narrow, but the network learns well")
    return seen(
        f"{least.layer} has {least.units} unit{'s' if least.units > 1 else ''}, through which everything must pass that tells "
        f"{last.logits.classes} classes apart",
        (least.layer,),
        units=least.units,
        classes=last.logits.classes,
    )


def _frozen(history: History) -> Verdict:
    first, last = history.first[0], history.latest[-1]
    if not first.frozen_share:
        return inapplicable("nothing is frozen")
    if standing(history) == "well":
        return passed("much is frozen, but the network learns well")
    if first.drawn and history.loop.step >= LATER:
        return seen(
            f"{first.drawn[0]} is frozen, and as torch draws it, standard normal: an embedding that was never trained",
            first.drawn,
            share=first.frozen_share,
        )
    if history.loop.step < SOME or standing(history) == "learns":
        return skipped("whether the network learns is to be seen")
    if first.frozen:
        return seen(
            f"{len(first.frozen)} frozen weights are still as torch draws them: what is frozen was never trained",
            first.frozen,
            share=first.frozen_share,
        )
    if any(p.matrix for p in last.parameters):
        return passed("frozen weights look trained")
    if not poor(history):
        return skipped("only biases and norms are trained; whether the network learns so is not known")
    return seen(
        f"{first.frozen_share:.1%} of the parameters are frozen, every weight matrix among them, and the network does not learn",
        share=first.frozen_share,
    )


def _dropout(history: History) -> Verdict:
    last = history.latest[-1]
    if not last.dropout:
        return inapplicable("there is no dropout")
    if last.dropout < DROPPED:
        return passed(f"at most {last.dropout:.0%} of the units are dropped")
    if last.step < LATER and last.dropout < MUCH_DROPPED:
        return skipped(f"fewer than {LATER} steps")
    if standing(history) == "well" or (last.dropout < MUCH_DROPPED and not poor(history)):
        return passed(f"dropout takes {last.dropout:.0%}, but the network learns")
    return seen(f"dropout takes {last.dropout:.0%} of the units at each step", share=last.dropout)


def _batch(history: History) -> Verdict:
    rows = history.latest[-1].normalised_rows
    if rows is None:
        return inapplicable("no batch norm takes the batch's statistics")
    if rows > FEW_ROWS:
        return passed(f"batch norm takes the statistics of {rows} images")
    return seen(f"batch norm takes its statistics of {rows} image{'s' if rows > 1 else ''} at a time", rows=rows)


CHECKS = (
    Check(
        "no_nonlinearity",
        _linear,
        "warning",
        1,
        "Linear maps one after the other are one linear map: depth adds nothing. The network can only draw straight "
        "borders between classes. "
        "Usually the activations were forgotten, or called without using their result.",
        "Goodfellow et al. 2016, Deep Learning, 6.1; the graph of the backward pass",
        (Remedy("put an activation between the layers", "torch.nn.ReLU()", edit="model.activation = 'default'"),),
        confirm=2,
    ),
    Check(
        "initialisation_symmetric",
        _symmetric,
        "critical",
        1,
        "Units that begin with the same weights compute the same, get the same gradient, and stay the same for ever: a "
        "layer of a hundred is one "
        "unit. Weights must be drawn at random, and only the last layer, or the last of a residual branch, may begin at 0.",
        "an invariant; Goodfellow et al. 2016, Deep Learning, 8.4",
        (
            Remedy(
                "draw the weights at random",
                "torch.nn.init.kaiming_normal_(layer.weight)",
                edit="model.init = 'default'",
            ),
        ),
    ),
    Check(
        "parameters_frozen",
        _frozen,
        "warning",
        1,
        "What has requires_grad=False stays as it is. Freezing is meant for what was trained before: frozen at its "
        "random initialisation a layer "
        "passes on noise. Where only biases or norms are left to be trained, hardly anything can be learned.",
        "Jiang et al. 2025 (TrainCheck), 2506.14813: frozen but for the batch norms; torch.nn.Linear.reset_parameters",
        (
            Remedy("let the weights be trained", "model.requires_grad_(True)"),
            Remedy("load the trained weights before freezing"),
        ),
        confirm=2,
        confidence=0.9,
    ),
    Check(
        "dropout_too_large",
        _dropout,
        "warning",
        1,
        "Dropout at p leaves a share 1 - p of the units at each step. With a twentieth of them left, signals are too "
        "noisy to learn from, and "
        "the network underfits. A half is usual in wide layers, a fifth in convolutions.",
        "Srivastava et al. 2014, Dropout, figure 9: errors rise beyond 0.6 to 0.7",
        (
            Remedy("drop fewer units", edit="reg.dropout = 0.2"),
            Remedy("leave dropout out", edit="reg.dropout = 'default', reg.input_dropout = 'default'"),
        ),
        confidence=0.85,
    ),
    Check(
        "initialisation_too_large",
        _too_large,
        "warning",
        1,
        "Weights that are too large make signals grow from layer to layer. The first outputs are then sure without reason, and activations "
        "saturated. The first steps are spent on undoing that, if they do not diverge.",
        "Glorot & Bengio 2010; He et al. 2015; ten times the size of the inputs",
        (
            Remedy(
                "take the usual initialisation of the activation",
                "torch.nn.init.kaiming_normal_(layer.weight)",
                edit="model.init = 'default'",
            ),
            Remedy("normalise", edit='model.norm = "batch"'),
        ),
        confirm=1,
        confidence=0.8,
    ),
    Check(
        "initialisation_too_small",
        _too_small,
        "warning",
        1,
        "Weights that are too small shrink signals from layer to layer, and gradients on their way back. Nothing is "
        "left to learn from at the "
        "first layers. Depth makes it worse by a power.",
        "Glorot & Bengio 2010; He et al. 2015; a thousandth of the size of the inputs",
        (
            Remedy(
                "take the usual initialisation of the activation",
                "torch.nn.init.kaiming_normal_(layer.weight)",
                edit="model.init = 'default'",
            ),
            Remedy("normalise", edit='model.norm = "batch"'),
        ),
        confirm=2,
        confidence=0.8,
    ),
    Check(
        "capacity_too_small",
        _narrow,
        "warning",
        1,
        "Everything that tells the classes apart must pass through the narrowest layer. With one or two units it can "
        "carry a position on a line "
        "or in a plane, hardly ten classes. More layers behind it cannot bring back what was lost.",
        "information bottleneck; fewer units than half of the classes",
        (Remedy("widen the layer", edit="model.width = 'default'"),),
        confidence=0.8,
    ),
    Check(
        "batch_too_small",
        _batch,
        "warning",
        1,
        "In training batch norm takes mean and variance of the batch. Of two or three images they are mostly noise: "
        "training is unsteady, and "
        "the running statistics of evaluation are not those that the weights were trained with.",
        "Wu & He 2018, Group Normalization, 1803.08494, figure 1; three images",
        (
            Remedy("take larger batches", edit="train.batch_size = 'default'"),
            Remedy("take a norm that needs no batch", "torch.nn.GroupNorm(8, channels)", edit='model.norm = "group"'),
        ),
        confidence=0.8,
    ),
)
