"""What a run of a generative model does: sample, complete, encode, decode, reconstruct, interpolate, traverse."""

from __future__ import annotations

import os
from abc import abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL.Image import Image
from torch import Tensor

from seewhy.core.errors import InputError, bad_value
from seewhy.data import BadImageError, decode_file
from seewhy.data.codec import read_header
from seewhy.models.family import Trained, verb
from seewhy.models.generative import Label
from seewhy.models.latent.latents import Axes
from seewhy.runs.inference import computing
from seewhy.runs.opened import Opened
from seewhy.runs.predict import ImageLike
from seewhy.spec import answering

KEPT = 128
"""The intensity of a mask's image from which a pixel is kept."""

Given = Tensor | NDArray[np.bool_] | Sequence[Any] | Image | str | os.PathLike[str]
"""Which pixels are kept: bool (H, W) or what is broadcast to (N, C, H, W), or an image or file of it (`read_mask`)."""


def _grey(path: str) -> NDArray[np.uint8]:
    """Return an image file at its own size, grey (H, W); raises InputError if it cannot be read."""
    try:
        height, width, _ = read_header(path)
    except BadImageError as error:
        raise InputError(f"{path}: {error}") from None
    pixels: NDArray[np.uint8] = decode_file(path, resolution=(height, width), channels=1)[0].numpy()
    return pixels


class Generation(Opened):
    """The verbs of generative models."""

    @property
    @abstractmethod
    def trained(self) -> Trained:
        """The network, and what it knows of its data."""

    def _sampling(self, prior: str | None, pixel_noise: bool) -> dict[str, Any]:
        """Return the options of sampling that are asked for; raises InputError if the model decodes no latents."""
        options = {"prior": prior, "pixel_noise": pixel_noise or None}
        asked = {name: value for name, value in options.items() if value is not None}
        if asked and "decode" not in self.spec.model_record.verbs:
            raise InputError(
                f"{', '.join(asked)}: for models that decode latents ({', '.join(answering('decode'))}), "
                f"but {self.folder} is a run of {self.spec.model.name}; leave it out"
            )
        return asked

    def read_mask(self, given: Given) -> Any:
        """Return which pixels are kept, bool.

        Args:
            given: an array or tensor, which is returned as it is; a .npy file of one; or an image (a file or a PIL image) of any size, whose
                pixels of at least 128 are kept: black or white first, then brought to the run's size as its images are (`data.fit`), where
                a pixel is kept if at least half of what it covers is.

        Raises:
            InputError: a file cannot be read.
        """
        if isinstance(given, Image):
            return self._mask_of(np.asarray(given.convert("L")))
        if not isinstance(given, (str, os.PathLike)):
            return given
        if not os.fspath(given).lower().endswith(".npy"):
            return self._mask_of(_grey(os.fspath(given)))
        try:
            mask = np.load(given, allow_pickle=False)
        except (OSError, ValueError, EOFError) as error:
            raise InputError(f"{given}: cannot be read as an array of numpy: {error}") from None
        if not isinstance(mask, np.ndarray):
            raise bad_value(os.fspath(given), "several arrays", "one array of bool")
        return mask

    def _mask_of(self, grey: NDArray[np.uint8]) -> Tensor:
        """Return the mask of an image (H, W), black or white before it is brought to the run's size, and after: bool (1, 1, H', W')."""
        binary = np.where(grey >= KEPT, 255, 0).astype(np.uint8)
        return self.read(binary)[:, :1] >= KEPT

    @computing
    def sample(
        self,
        n: int,
        *,
        label: Label = None,
        seed: int = 0,
        temperature: float = 1.0,
        prior: str | None = None,
        pixel_noise: bool = False,
    ) -> Tensor:
        """Sample n images from a generative model: uint8 (n, C, H, W); equal seeds give equal images.

        Args:
            n: from 1 to 1,000,000.
            label: a class by name or number, or one for each image, where the model is class-conditional; None: all in turn.
            seed: of the noise.
            temperature: below 1 more probable images, above 1 more varied ones.
            prior: of an autoencoder, the density that latents are sampled from: "gaussian" (None) or "mixture", fitted to the latents of
                training images (Ghosh et al. 2020, 1903.12436), or "standard", N(0, I).
            pixel_noise: of an autoencoder or a VAE, sample pixels from the likelihood, x ~ p(x | z); else they are at its mean.

        Raises:
            InputError: the run is of another kind, or an argument is wrong.
        """
        sample, options = verb(self.spec, "sample", self.folder), self._sampling(prior, pixel_noise)
        made: Tensor = sample(self.trained, n, label=label, seed=seed, temperature=temperature, **options)
        return made

    @computing
    def complete(
        self,
        images: ImageLike | Sequence[ImageLike],
        *,
        rows: int | None = None,
        given: Given | None = None,
        label: Label = None,
        seed: int = 0,
        temperature: float = 1.0,
    ) -> Tensor:
        """Keep some pixels of images exactly, and sample the others: uint8 (N, C, H, W); for autoregressive models.

        Args:
            images: to complete.
            rows: the uppermost rows are kept; None for half of them.
            given: the pixels that are kept instead: bool (H, W) or what is broadcast to (N, C, H, W), as a tensor, an array or a .npy file;
                or an image of any size, a file or a PIL image, whose pixels of at least 128 are kept (`read_mask`).
            label, seed, temperature: as in `sample`.

        Raises:
            InputError: the run is of another kind, or an argument is wrong.
        """
        complete = verb(self.spec, "complete", self.folder)
        mask = None if given is None else self.read_mask(given)
        options = {"rows": rows, "given": mask, "label": label, "seed": seed, "temperature": temperature}
        made: Tensor = complete(self.trained, self.read(images), **options)
        return made

    @computing
    def encode(self, images: ImageLike | Sequence[ImageLike], *, label: Label = None, seed: int = 0) -> Tensor:
        """Return the latents of images, float32 (N, D): the posterior's means of a VAE; for autoencoders and VAEs.

        Args:
            images: one or several.
            label: a class, or one for each image, where the model is class-conditional; None: the most probable one of each image.
            seed: of stochastic binarisation.
        """
        encode = verb(self.spec, "encode", self.folder)
        latents: Tensor = encode(self.trained, self.read(images), label=label, seed=seed)
        return latents

    @computing
    def decode(
        self,
        latents: Tensor | NDArray[Any] | Sequence[Any] | None = None,
        *,
        images: ImageLike | Sequence[ImageLike] | None = None,
        values: Mapping[int, float] | None = None,
        label: Label = None,
        pixel_noise: bool = False,
        seed: int = 0,
    ) -> Tensor:
        """Return the images of latents, with some dimensions set by hand, uint8 (N, C, H, W); for autoencoders and VAEs.

        Args:
            latents: (N, D), or (D) for one; None to start from `images`, or without them from the prior's mean: 0, or the mean latent of an
                autoencoder's training images.
            images: images whose latents are taken, as `encode` gives them.
            values: what latent dimensions are set to, such as {3: -2.5}; numbered from 0. `run.record["order"]` has a VAE's by their KL.
            label: a class, or one for each, where the model is class-conditional; None: the most
                probable one of each image; of latents, all in turn.
            pixel_noise: as in `sample`.
            seed: of pixel noise and of stochastic binarisation.

        Raises:
            InputError: the run is of another kind, there is no such dimension, or an argument is wrong.
        """
        decode = verb(self.spec, "decode", self.folder)
        start = None if images is None else self.read(images)
        options = {"values": values, "label": label, "pixel_noise": pixel_noise, "seed": seed}
        made: Tensor = decode(self.trained, latents, images=start, **options)
        return made

    def axes(self) -> Axes:
        """Return the latent dimensions: where the prior's middle lies, how far each spreads, and their order; for autoencoders and VAEs.

        Raises:
            InputError: the run is of another kind.
        """
        axes: Axes = verb(self.spec, "axes", self.folder)(self.trained)
        return axes

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
