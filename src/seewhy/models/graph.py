"""What leaves the house of a trained network: a module of tensors alone, with the names of what goes in and comes out (`seewhy.export`)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from torch import Tensor, nn


@dataclass(frozen=True, kw_only=True)
class Port:
    """An input or an output.

    Attributes:
        axes: their names; those of an input that end in "*" are free.
        meaning: its type and what it holds, for people.
    """

    axes: tuple[str, ...]
    meaning: str


@dataclass(frozen=True, kw_only=True)
class Graph:
    """A network that can be exported.

    Attributes:
        module: on the CPU in evaluation, float32; positional tensors to a tensor, or a tuple of them. It branches on no value and on no free
            axis.
        inputs: by name, in the order of the module's arguments.
        outputs: by name, in the order of its results.
        examples: inputs by which it is traced, and compared: at least 2 along every free axis, and no two free axes alike.
        reference: the outputs by the way that the run itself computes them.
    """

    module: nn.Module
    inputs: Mapping[str, Port]
    outputs: Mapping[str, Port]
    examples: Mapping[str, Tensor]
    reference: Callable[..., tuple[Tensor, ...]]


Inputs = tuple[dict[str, Port], dict[str, Tensor]]
"""What goes in by name, and examples."""


def with_labels(port: Mapping[str, Port], example: Mapping[str, Tensor], labels: Tensor | None) -> Inputs:
    """Return the inputs of a network and their examples, the labels of a class-conditional one behind the others."""
    if labels is None:
        return dict(port), dict(example)
    classes = Port(axes=("batch*",), meaning="int64, the class of each image")
    return {**port, "labels": classes}, {**example, "labels": labels.cpu()}


IMAGES = Port(axes=("batch", "height", "width", "channels"), meaning="uint8")
"""Images that come out."""

EXAMPLES = 6
"""Inputs of generative models by which they are traced."""
