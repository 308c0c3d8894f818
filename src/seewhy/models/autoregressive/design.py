"""What an autoregressive model is built from beside its name."""

from __future__ import annotations

from dataclasses import dataclass, field

from seewhy.models.intensity import IntensityLevels


@dataclass(frozen=True, kw_only=True)
class AutoregressiveDesign:
    """The choices of an autoregressive model.

    Attributes:
        levels: how uint8 images become values, and back.
        width: features of a layer.
        depth: blocks or layers.
        kernel_size: side of the convolutions after the first, odd, at least 3; None for 3. The LSTMs have no such convolutions.
    """

    levels: IntensityLevels = field(default_factory=IntensityLevels)
    width: int = 32
    depth: int = 7
    kernel_size: int | None = None
