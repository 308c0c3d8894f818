"""What a probe measures at one step, without any judgement."""

from __future__ import annotations

import math
from dataclasses import dataclass


@dataclass(frozen=True)
class InputRecord:
    """What enters the first linear map of the network, or the network itself where there is none.

    Attributes:
        rows: of the batch.
        mean, std: by channel (axis 1) of images, over everything else.
        low, high: the least and the greatest value.
        rows_differ: whether the rows of the batch differ from one another.
        duplicates: share of the rows that equal an earlier one.
        spread: deviation over the rows, the root mean square over the positions: how much the rows differ.
        nearest: median distance of a row to the nearest other one, as a share of the rows' root mean square distance.
        columns: values of a row.
    """

    rows: int
    mean: tuple[float, ...]
    std: tuple[float, ...]
    low: float
    high: float
    rows_differ: bool
    duplicates: float = 0.0
    spread: float = 0.0
    nearest: float = 0.0
    columns: int = 0


@dataclass(frozen=True)
class ActivationRecord:
    """One call of an activation function.

    Attributes:
        layer: where, by module path.
        function: such as "relu".
        units: of the layer.
        silent: share of units that have not once been active in the last probes.
        saturated: share of units that are saturated at 95% of the examples.
        samples: examples and positions seen of each unit in the last probes.
        mean, std: of the pre-activations.
        low, median, high: their 5th, 50th and 95th percentile.
        after: linear and convolutional layers that the same pass had computed before.
    """

    layer: str
    function: str
    units: int
    silent: float
    saturated: float
    samples: int
    mean: float = math.nan
    std: float = math.nan
    low: float = math.nan
    median: float = math.nan
    high: float = math.nan
    after: int = 0


@dataclass(frozen=True)
class LayerRecord:
    """The output of a linear or convolutional layer, or of a recurrent one.

    Attributes:
        layer: by module path.
        mean, std: of its outputs.
        gradient: root mean square of the gradient that arrives there; None where none does.
        wanted: whether the output asks for a gradient.
        units: of the output.
        rank: effective rank of the outputs of the batch's examples (exponential of the entropy of the singular values' shares,
            Roy & Vetterli 2007), as a share of the largest possible; None where it was not measured.
        similarity: mean cosine of the outputs of two examples; None where it was not measured.
        spread: deviation of a unit's output over the examples, the root mean square over the units: what it tells of them.
    """

    layer: str
    mean: float
    std: float
    gradient: float | None
    wanted: bool = True
    units: int = 0
    rank: float | None = None
    similarity: float | None = None
    spread: float | None = None


@dataclass(frozen=True)
class ParameterRecord:
    """One parameter.

    Attributes:
        name: by module path.
        gradient: norm of its gradient, None where there is none.
        weight: norm of its sampled entries.
        update: norm of what the step changed of them, divided by `weight`; None without a step.
        moved: whether the step changed any of the sampled entries; None without a step.
        held: whether a watched optimiser holds it.
        shrinks: cosine of the change and minus the weights: 1 where the step does nothing but shrink them; None without a step.
        alike: whether all units of a weight matrix have the same weights.
        agreement: mean over the units of |sum| / sum of |.| of a unit's weight gradients: 1 where all weights of a unit can only rise
            or fall together; None where there is no gradient or no matrix.
        size: entries.
        matrix: whether it has two axes or more, and units of its own along the first.
    """

    name: str
    gradient: float | None
    weight: float
    update: float | None
    moved: bool | None
    held: bool
    shrinks: float | None = None
    alike: bool = False
    agreement: float | None = None
    size: int = 0
    matrix: bool = False


@dataclass(frozen=True)
class LogitsRecord:
    """What the gradient at the outputs tells of a cross-entropy loss.

    Attributes:
        rows, classes: of the outputs.
        loss: nats, the mean over the rows, as they are weighted; of a focal loss the cross-entropy without its factor.
        entropy: of the labels' distribution in the batch, as they are weighted, nats: the loss of whoever knows only the classes' frequencies.
        accuracy: share of the rows whose label has the largest output.
        smoothing: of the labels.
        scale: what the gradient of a row's loss is multiplied by: 1 / rows for a mean, 1 for a sum; below 0 where the loss is maximised.
        labels, predicted: rows by class.
        probabilities: whether the outputs are probabilities already, before the loss takes their softmax.
        rows_differ: whether the outputs of the rows differ.
        right: rows by class whose label has the largest output.
        sure_wrong: share of the rows in which a class that is not the label has a probability above 0.9.
        leak: the input's column that tells the label best, the share of its variance between the classes, and that of a typical column;
            None where it was not measured.
        neighbours: rows whose nearest neighbour among the inputs has their label, of how many, and how many to expect if labels were given
            by chance; None where it was not measured.
        temperature: by which the loss divides the outputs.
        weights: of the classes, 1 on average over the rows and where a class does not occur; None where all count alike.
        focus: exponent of a focal loss (Lin et al. 2017, 1708.02002); 0 for another.
    """

    rows: int
    classes: int
    loss: float
    entropy: float
    accuracy: float
    smoothing: float
    scale: float
    labels: tuple[int, ...]
    predicted: tuple[int, ...]
    probabilities: bool
    rows_differ: bool
    right: tuple[int, ...] = ()
    sure_wrong: float = 0.0
    leak: tuple[int, float, float] | None = None
    neighbours: tuple[int, int, float] | None = None
    temperature: float = 1.0
    weights: tuple[float, ...] | None = None
    focus: float = 0.0


@dataclass(frozen=True)
class BinaryRecord:
    """What the gradient at the outputs tells of a binary cross-entropy loss.

    Attributes:
        loss: nats, the mean over the outputs.
        positive: share of targets that are 1.
        accuracy: share of the outputs whose sign is that of the target.
        confidence: mean probability of the target.
    """

    loss: float
    positive: float
    accuracy: float
    confidence: float


Moments = tuple[float, float, float, float, float]


@dataclass(frozen=True)
class OutputRecord:
    """One floating-point output of the network at which a gradient arrived.

    Attributes:
        rows, columns: of the output.
        axes: how many it has.
        function: that made it, such as "relu" or "softmax"; "" for others.
        axis: of a softmax; None for others.
        gradient: root mean square of what arrived.
        std: of its values.
        spread, nearest: of its rows, as in `InputRecord`.
        rows_differ: whether its rows differ.
        kind: of the loss that its gradient shows: "cross-entropy", "binary", "probabilities" for a binary one of these, "twice" for one with two
            sigmoids, else "".
        follows: whether the gradient rises with the output from row to row, without exception, where the output has one column: all rows
            are pulled to the same target, or to all targets at once.
        centre: the output at which that gradient would be 0.
        below: share of the outputs that are at 0 and are pushed further down.
        picks: whether the gradient of each row is one and the same negative number at one column, as that of a likelihood.
        pushes: whether the gradient of each row is positive at one column, and 0 elsewhere.
        log_probabilities: whether the exponentials of each row sum to 1.
        moments: of each column, what a squared error would be known by: means of output and gradient, variances of both, their covariance;
            empty where there are more columns or fewer rows than that needs, and where another loss is known.
        binary: None where the loss is no binary cross-entropy.
        value: of a scalar: the loss itself, where nothing else is put out.
        flipped: whether a binary cross-entropy is maximised.
        outwards: share of the values that are pushed further from 0, where the loss is not known and values are of both signs; else 0.
        whole: the different targets of a squared error that are whole numbers; None where they are not, or there are more columns.
    """

    rows: int
    columns: int
    function: str
    axis: int | None
    gradient: float
    std: float
    spread: float = 0.0
    nearest: float = 0.0
    rows_differ: bool = True
    kind: str = ""
    follows: bool = False
    centre: float | None = None
    below: float = 0.0
    picks: bool = False
    pushes: bool = False
    log_probabilities: bool = False
    moments: tuple[Moments, ...] = ()
    binary: BinaryRecord | None = None
    value: float | None = None
    axes: int = 2
    flipped: bool = False
    outwards: float = 0.0
    whole: tuple[int, ...] | None = None


@dataclass(frozen=True)
class LatentRecord:
    """A latent variable that is drawn as mean + deviation x noise.

    Attributes:
        kl: of each dimension to a standard normal, nats, the mean over the rows.
        active: dimensions whose mean varies over the rows by more than 0.01 (Burda et al. 2016).
    """

    kl: tuple[float, ...]
    active: int


@dataclass(frozen=True)
class ProbeRecord:
    """All that one probe measured.

    Attributes:
        step: from 1.
        bad: what is not finite, "" if all is.
        lr: of the optimiser's first group.
        inputs, logits: None where there are none of the kind.
        layers, activations, parameters: in the order of the computation.
        outputs: those at which a gradient arrived.
        weight_decay: the largest of the optimiser's groups.
        latent: None where nothing is drawn.
        seen: spreads of the inputs of every pass of the step: (spread, nearest).
        dropout: the largest probability of any dropout.
        normalised_rows: the fewest rows that batch norm took statistics of; None without.
        given_rows: length of the first axis of what the network was given.
        normalised: whether any norm was seen.
        batch_softmax: where a softmax over the batch was taken, "" if nowhere.
        batch_sequence: which recurrent or attentive layer takes the batch for its sequence, "" if none.
        batch_mixed: where a length is taken along the batch, or a view puts values of several of its rows into one; "" if nowhere.
        repeats: how far the batch is from the one at the probe before: 0 for the same, 1 for another; None where that is not known.
        remade: whether it is another tensor than that.
        given_moments: mean and deviation of what the network was given, over all; None where that is no batch of floating-point values.
        idle: parameters in a group of the optimiser whose rate is nothing beside that of another group.
        drawn: names of frozen embeddings that are still as torch draws them.
        linear: whether nothing but linear maps was found between inputs and outputs; None where it was not looked at.
        unregistered: layers that compute with parameters that the network does not hold, and that ask for gradients.
        frozen: names of frozen weight matrices that are still as torch draws them.
        frozen_share: of the parameters' entries.
        alignment: cosine of the gradient at the last probe and at the step after it.
        overshoot: slope along the last probe's step at its end divided by that at its start: 1 for a tiny step, 0 where it reaches the
            minimum along its way, below -1 where it climbs higher than it came from (for a parabola).
    """

    step: int
    bad: str
    lr: float | None
    inputs: InputRecord | None
    logits: LogitsRecord | None
    layers: tuple[LayerRecord, ...] = ()
    activations: tuple[ActivationRecord, ...] = ()
    parameters: tuple[ParameterRecord, ...] = ()
    outputs: tuple[OutputRecord, ...] = ()
    weight_decay: float = 0.0
    latent: LatentRecord | None = None
    seen: tuple[tuple[float, float], ...] = ()
    dropout: float = 0.0
    normalised_rows: int | None = None
    given_rows: int = 0
    normalised: bool = False
    batch_softmax: str = ""
    batch_sequence: str = ""
    batch_mixed: str = ""
    repeats: float | None = None
    remade: bool = False
    given_moments: tuple[float, float] | None = None
    idle: tuple[str, ...] = ()
    drawn: tuple[str, ...] = ()
    linear: bool | None = None
    unregistered: tuple[str, ...] = ()
    frozen: tuple[str, ...] = ()
    frozen_share: float = 0.0
    alignment: float | None = None
    overshoot: float | None = None

    @property
    def loss(self) -> float | None:
        """The loss, where the gradients at the outputs tell it."""
        if self.logits is not None:
            return self.logits.loss
        if len(self.outputs) == 1 and self.outputs[0].value is not None:  # of several one may be a part of the loss
            return self.outputs[0].value
        return next((output.binary.loss for output in self.outputs if output.binary is not None), None)
