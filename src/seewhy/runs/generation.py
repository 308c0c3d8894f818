"""What a run of a generative model does: sample, complete, reconstruct, interpolate, traverse."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path

from torch import Tensor

from seewhy.models.family import Trained, verb
from seewhy.models.generative import Label
from seewhy.runs.inference import computing
from seewhy.runs.predict import ImageLike
from seewhy.spec import RunSpec
from seewhy.training.fabric import Engine


class Generation(ABC):
    """The verbs of generative models, of a run that is opened.

    Attributes:
        folder: of the run.
        spec: its resolved specification.
    """

    folder: Path
    spec: RunSpec

    @property
    @abstractmethod
    def engine(self) -> Engine:
        """Where images are computed."""

    @property
    @abstractmethod
    def trained(self) -> Trained:
        """The network, and what it knows of its data."""

    @abstractmethod
    def read(self, images: ImageLike | Sequence[ImageLike]) -> Tensor:
        """Return images at the run's size, uint8 (N, C, H, W)."""

    @computing
    def sample(self, n: int, *, label: Label = None, seed: int = 0, temperature: float = 1.0) -> Tensor:
        """Sample n images from a generative model: uint8 (n, C, H, W); equal seeds give equal images.

        Args:
            n: from 1 to 1,000,000.
            label: a class by name or number, or one for each image, where the model is class-conditional; None: all in turn.
            seed: of the noise.
            temperature: below 1 more probable images, above 1 more varied ones.

        Raises:
            InputError: the run is of another kind, or an argument is wrong.
        """
        made: Tensor = verb(self.spec, "sample", self.folder)(
            self.trained, n, label=label, seed=seed, temperature=temperature
        )
        return made

    @computing
    def complete(
        self,
        images: ImageLike | Sequence[ImageLike],
        *,
        rows: int | None = None,
        given: Tensor | None = None,
        label: Label = None,
        seed: int = 0,
        temperature: float = 1.0,
    ) -> Tensor:
        """Keep the upper `rows` of images (None: half), or the pixels `given` (bool), exactly, and sample the others: uint8 (N, C, H, W).

        For autoregressive models; other arguments as in `sample`.
        """
        complete = verb(self.spec, "complete", self.folder)
        options = {"rows": rows, "given": given, "label": label, "seed": seed, "temperature": temperature}
        made: Tensor = complete(self.trained, self.read(images), **options)
        return made

    @computing
    def reconstruct(self, images: ImageLike | Sequence[ImageLike], *, label: Label = None, seed: int = 0) -> Tensor:
        """Return images decoded from the latents of images, uint8 (N, C, H, W); for autoencoders and VAEs."""
        reconstruct = verb(self.spec, "reconstruct", self.folder)
        made: Tensor = reconstruct(self.trained, self.read(images), label=label, seed=seed)
        return made

    @computing
    def interpolate(
        self,
        start: ImageLike,
        end: ImageLike,
        *,
        steps: int = 9,
        label: Label = None,
        path: str = "spherical",
        seed: int = 0,
    ) -> Tensor:
        """Return the images between the latents of two images, uint8 (steps, C, H, W); for autoencoders and VAEs.

        Args:
            start, end: the two images.
            steps: from 2 to 1,000, both ends included.
            label: a class, where the model is class-conditional; None: the most probable one of each image, and the first one's between.
            path: "spherical" or "linear".
            seed: of stochastic binarisation.
        """
        interpolate = verb(self.spec, "interpolate", self.folder)
        options = {"steps": steps, "label": label, "path": path, "seed": seed}
        made: Tensor = interpolate(self.trained, self.read(start), self.read(end), **options)
        return made

    @computing
    def traverse(
        self,
        image: ImageLike | None = None,
        *,
        steps: int = 9,
        dimensions: int = 10,
        label: Label = None,
        seed: int = 0,
    ) -> Tensor:
        """Change one latent dimension of a VAE at a time, the one of the most KL first: uint8 (dimensions x steps, C, H, W)."""
        traverse = verb(self.spec, "traverse", self.folder)
        start = None if image is None else self.read(image)
        options = {"steps": steps, "dimensions": dimensions, "label": label, "seed": seed}
        made: Tensor = traverse(self.trained, start, **options)
        return made
