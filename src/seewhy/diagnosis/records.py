"""What a probe measures at one step, without any judgement."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

FIRST, LAST = 12, 48
"""Records that are kept from the start, and of the latest probes: memory does not grow with the steps."""


@dataclass(frozen=True)
class InputRecord:
    """The first floating-point input of the network.

    Attributes:
        rows: of the batch.
        mean, std: by channel (axis 1) of images, over everything else.
        low, high: the least and the greatest value.
        rows_differ: whether the rows of the batch differ from one another.
    """

    rows: int
    mean: tuple[float, ...]
    std: tuple[float, ...]
    low: float
    high: float
    rows_differ: bool


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
    """

    layer: str
    function: str
    units: int
    silent: float
    saturated: float
    samples: int


@dataclass(frozen=True)
class LayerRecord:
    """The output of a linear or convolutional layer.

    Attributes:
        layer: by module path.
        mean, std: of its outputs.
        gradient: root mean square of the gradient that arrives there; None where none does.
    """

    layer: str
    mean: float
    std: float
    gradient: float | None


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
    """

    name: str
    gradient: float | None
    weight: float
    update: float | None
    moved: bool | None
    held: bool


@dataclass(frozen=True)
class LogitsRecord:
    """What the gradient at the outputs tells of a cross-entropy loss.

    Attributes:
        rows, classes: of the outputs.
        loss: nats, the mean over the rows.
        entropy: of the labels' distribution in the batch, nats: the loss of whoever knows only the classes' frequencies.
        accuracy: share of the rows whose label has the largest output.
        smoothing: of the labels.
        scale: what the gradient of a row's loss is multiplied by: 1 / rows for a mean, 1 for a sum.
        labels, predicted: rows by class.
        probabilities: whether the outputs are probabilities already, before the loss takes their softmax.
        rows_differ: whether the outputs of the rows differ.
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


@dataclass(frozen=True)
class ProbeRecord:
    """All that one probe measured.

    Attributes:
        step: from 1.
        bad: what is not finite, "" if all is.
        lr: of the optimiser's first group.
        inputs, logits: None where there are none of the kind.
        layers, activations, parameters: in the order of the computation.
    """

    step: int
    bad: str
    lr: float | None
    inputs: InputRecord | None
    logits: LogitsRecord | None
    layers: tuple[LayerRecord, ...] = ()
    activations: tuple[ActivationRecord, ...] = ()
    parameters: tuple[ParameterRecord, ...] = ()


@dataclass
class LoopRecord:
    """What is counted at the steps between probes: how the loop treats modes and gradients.

    Attributes:
        step: steps so far.
        stale: steps in a row whose gradients held those of the step before.
        cleared: steps at which that could be told, and whose gradients did not.
        eval_steps: steps whose forward pass was in evaluation mode throughout, though there is dropout or batch norm.
        train_steps: other steps.
        train_evaluations: forward passes without gradients in training mode, though there is dropout or batch norm.
        evaluations: other forward passes without gradients.
        closure: whether the optimiser evaluates the loss itself.
        mode_matters: whether the network has dropout or batch norm.
    """

    step: int = 0
    stale: int = 0
    cleared: int = 0
    eval_steps: int = 0
    train_steps: int = 0
    train_evaluations: int = 0
    evaluations: int = 0
    closure: bool = False
    mode_matters: bool = False


@dataclass
class History:
    """The records of one network: the first ones and the latest.

    Attributes:
        network: its name.
        alone: whether no other network is watched in the same loop.
        loop: what is counted at every step.
        first: records from the start.
        latest: the last ones.
        observed: what the user told, by name: (step, value) pairs.
    """

    network: str
    alone: bool = True
    loop: LoopRecord = field(default_factory=LoopRecord)
    first: list[ProbeRecord] = field(default_factory=list)
    latest: deque[ProbeRecord] = field(default_factory=lambda: deque(maxlen=LAST))
    observed: dict[str, deque[tuple[int, float]]] = field(default_factory=dict)

    def add(self, record: ProbeRecord) -> None:
        """Keep a record."""
        if len(self.first) < FIRST:
            self.first.append(record)
        self.latest.append(record)

    @property
    def records(self) -> list[ProbeRecord]:
        """All that are kept, in order."""
        start = self.latest[0].step if self.latest else 0
        return [record for record in self.first if record.step < start] + list(self.latest)
