"""One step of an autoregressive model, to be exported: the values so far to the distribution of the next one."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from seewhy.core.seeding import rng
from seewhy.models.autoregressive.raster import Autoregressive
from seewhy.models.autoregressive.raster_generator import RasterGenerator
from seewhy.models.family import Trained
from seewhy.models.generative import labels_for
from seewhy.models.graph import EXAMPLES, Graph, Port, with_labels


class NextValueGraph(nn.Module):
    """Values int64 (N, C, H, W), a position int64 (1), and labels int64 (N) where there are classes -> logits (N, L) of the value there.

    Positions count the values in raster order, the channels of a pixel one after the other; values from there on count for nothing.
    """

    def __init__(self, net: Autoregressive) -> None:
        super().__init__()
        self.net = net

    def forward(self, values: Tensor, position: Tensor, labels: Tensor | None = None) -> Tensor:
        """Return the logits."""
        in_order = self.net(values, labels).movedim((1, 2), (-1, -2)).flatten(1, -2)  # (N, H W C, L)
        return in_order.index_select(1, position).squeeze(1)


def export(trained: Trained) -> Graph:
    """Return one step of a trained model."""
    model: RasterGenerator = trained.model
    net, count = model.net, math.prod(model.net.shape)
    values = torch.randint(net.levels, (EXAMPLES, *net.shape), generator=rng(0, "export"))
    ports = {
        "values": Port(
            axes=("batch*", "channel", "row", "column"),
            meaning=f"int64, levels from 0 to {net.levels - 1}: those before the position count",
        ),
        "position": Port(
            axes=("one",),
            meaning=f"int64 (1,), from 0 to {count - 1}: (row * width + column) * channels + channel",
        ),
    }

    def reference(values: Tensor, position: Tensor, labels: Tensor | None = None) -> tuple[Tensor]:
        channel, place = int(position) % net.shape[0], int(position) // net.shape[0]
        return (net(values, labels).flatten(3)[:, :, channel, place],)

    inputs, examples = with_labels(
        ports, {"values": values, "position": torch.tensor([count // 2])}, labels_for(trained, None, EXAMPLES)
    )
    return Graph(
        module=NextValueGraph(net),
        outputs={
            "logits": Port(axes=("batch", "level"), meaning="float32, softmax gives the next value's distribution")
        },
        reference=reference,
        inputs=inputs,
        examples=examples,
    )
