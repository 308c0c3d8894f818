"""The one description of a run, shared by the command line, Python and the run folder."""

from __future__ import annotations

from typing import Self

from pydantic import Field, model_validator

from seewhy.core.spec import Strict
from seewhy.training.spec.generator_rules import broken_generator_rules
from seewhy.training.spec.rules import broken_rules
from seewhy.training.spec.sections import (
    DataSpec,
    EnsembleSpec,
    GeneratorSpec,
    ModelSpec,
    OptimSpec,
    RegSpec,
    TrainSpec,
)


class RunSpec(Strict):
    """One run: the data and every choice. Frozen; unknown fields are refused."""

    source: str = Field(description="A folder of class folders, a built-in name, or an .npz file.")
    data: DataSpec = DataSpec()
    model: ModelSpec = ModelSpec()
    generator: GeneratorSpec = GeneratorSpec()
    reg: RegSpec = RegSpec()
    optim: OptimSpec = OptimSpec()
    train: TrainSpec = TrainSpec()
    ensemble: EnsembleSpec = EnsembleSpec()

    @model_validator(mode="after")
    def _combinations(self) -> Self:
        """Refuse combinations that cannot work, before any work."""
        for message in broken_rules(
            self.source, self.data, self.model, self.reg, self.optim, self.train, self.ensemble
        ):
            raise ValueError(message)
        for message in broken_generator_rules(
            self.model, self.generator, self.reg, self.optim, self.train, self.ensemble
        ):
            raise ValueError(message)
        return self
