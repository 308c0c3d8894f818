"""What every verb of a run asks for: where it computes, and its images at the run's size."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence

from torch import Tensor

from seewhy.runs.predict import ImageLike
from seewhy.runs.records import Records
from seewhy.spec import RunSpec
from seewhy.training.fabric import Engine


class Opened(Records, ABC):
    """A run that is opened.

    Attributes:
        spec: its resolved specification.
    """

    spec: RunSpec

    @property
    @abstractmethod
    def engine(self) -> Engine:
        """Where it computes."""

    @abstractmethod
    def read(self, images: ImageLike | Sequence[ImageLike]) -> Tensor:
        """Return images at the run's size, uint8 (N, C, H, W)."""
