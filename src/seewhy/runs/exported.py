"""What the export of a run has written, and what was measured of it (`seewhy.export`)."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

EXPORT = "seewhy.export.write:export_run"
"""What exports a run."""


@dataclass(frozen=True)
class Parity:
    """How far an exported file is from its run.

    Attributes:
        inputs: that were compared.
        sizes: height x width of the images that went in; () of generative models.
        levels: the largest difference of a pixel, in intensity levels; None where there are no images.
        probability: the largest |dp|; None where there are none.
        different: inputs of which another class or level comes first.
    """

    inputs: int
    sizes: tuple[str, ...] = ()
    levels: int | None = None
    probability: float | None = None
    different: int = 0

    def __str__(self) -> str:
        said = [f"{self.inputs} inputs" + (f" of sizes {', '.join(self.sizes)}" if self.sizes else "")]
        said += [f"pixels within {self.levels} level{'s' * (self.levels != 1)}"] if self.levels is not None else []
        if self.probability is not None:
            said += [
                f"largest |dp| {self.probability:.1e}",
                f"top-1 equal {self.inputs - self.different}/{self.inputs}",
            ]
        return ", ".join(said)


@dataclass(frozen=True)
class Exported:
    """What `export` has written.

    Attributes:
        file: the network.
        readme: the page beside it.
        parity: of the float32 network with its run.
        accuracy: on the validation split, of float32 and of the reduced precision; None where there is none.
        written: of the file of reduced precision with the run; None in float32, of which `parity` is.
    """

    file: Path
    readme: Path
    parity: Parity
    accuracy: tuple[float, float] | None = None
    written: Parity | None = None

    def lines(self) -> list[str]:
        """Return what was measured, for people."""
        said = [f"parity with the run in fp32: {self.parity}"]
        if self.written is not None:
            said[0] += ", before the precision was reduced"
            said.append(f"the file as written beside the run: {self.written}")
            said.append(self._accuracy_line())
        return said

    def _accuracy_line(self) -> str:
        if self.accuracy is None:
            return "accuracy: not measured, for there are no validation images"
        before, after = self.accuracy
        return f"accuracy on the validation split: {before:.2%} in fp32, {after:.2%} as written"
