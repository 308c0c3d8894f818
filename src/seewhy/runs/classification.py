"""What a run of a classifier does: predict images one by one or many at once, and say what it sees in them."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import cached_property
from typing import cast, overload

import torch
from torch import Tensor, nn

from seewhy.core.errors import InputError, bad_value
from seewhy.metrics import apply_temperature
from seewhy.models.family import verb
from seewhy.models.predictor import Predictor
from seewhy.nn.stochastic import is_stochastic
from seewhy.runs.evaluate import Progress
from seewhy.runs.extractors import classifier_features
from seewhy.runs.inference import Replicas, computing, in_chunks, sampled
from seewhy.runs.opened import Opened
from seewhy.runs.predict import Classes, ImageLike, Prediction, is_batch, predict_each
from seewhy.training.state import isolated


class Classification(Opened):
    """The verbs of classifiers."""

    @property
    @abstractmethod
    def model(self) -> nn.Module:
        """The network."""

    @property
    @abstractmethod
    def members(self) -> Sequence[Classification]:
        """Those of an ensemble; none of a single network."""

    @property
    @abstractmethod
    def predictor(self) -> Predictor:
        """The module from images to calibrated probabilities."""

    @property
    @abstractmethod
    def _temperature(self) -> float:
        """What the logarithms of an ensemble's probabilities are divided by."""

    @cached_property
    def _replicas(self) -> Replicas[Predictor]:
        return Replicas(self.predictor)

    @overload
    def predict(  # type: ignore[overload-overlap]  # a path is a sequence of strings too
        self, images: ImageLike, *, samples: int | None = None
    ) -> Prediction: ...

    @overload
    def predict(self, images: Iterable[ImageLike], *, samples: int | None = None) -> list[Prediction]: ...

    def predict(
        self, images: ImageLike | Iterable[ImageLike], *, samples: int | None = None
    ) -> Prediction | list[Prediction]:
        """Predict one image, or several.

        Args:
            images: a path, the bytes of an image file, a file opened in binary mode, a PIL image, an array (H, W) or (H, W, C), or a tensor
                (C, H, W), of uint8 or of floating point in [0, 1]. Several give a list: anything to walk through (a list, a generator, an array
                or a column of paths), or a batch, (N, H, W, C) as an array or (N, C, H, W) as a tensor. A mapping is none.
            samples: average so many stochastic forward passes, with dropout and related layers as in training (Gal & Ghahramani 2016); None
                for one pass without. `Prediction.disagreement` then says how far they lie apart.

        Returns:
            a `Prediction` (or a list): `label`, `confidence`, `top` five classes, `error`.

        Raises:
            InputError: the one image cannot be read (in a list it gives a `Prediction` with `error` set), or is of a kind that is not known.
        """
        single = not is_batch(images)
        given = cast("Iterable[ImageLike]", [images] if single else images)
        found = list(self.predict_each(given, samples=samples))
        if not single:
            return found
        if found[0].error is not None:
            raise InputError(f"{found[0].name}: {found[0].error}")
        return found[0]

    def predict_each(
        self, images: Iterable[ImageLike], progress: Progress | None = None, *, samples: int | None = None
    ) -> Iterator[Prediction]:
        """Yield a `Prediction` for every image, in order, as they come; any number fits in memory.

        Args:
            images: of the kinds that `predict` takes.
            progress: told (images done, images in all).
            samples: as in `predict`.
        """
        return predict_each(self._output, self._probabilities(samples), images, progress)

    def probabilities(self, images: Tensor) -> Tensor:
        """Return calibrated class probabilities (N, K), float32, of uint8 images (N, C, H, W) of any size."""
        return self._probabilities(None)(images)[0]

    @computing
    def features(self, images: ImageLike | Sequence[ImageLike]) -> Tensor:
        """Return the features (N, D), float32, of images: the inputs of the classifier's last layer with weights.

        Of a linear head on a pretrained backbone they are the backbone's, less their mean over the training images and divided by one scale.

        Args:
            images: one or several, of the kinds that `predict` takes.

        Raises:
            InputError: an image cannot be read, or the run is an ensemble or of no classifier.
        """
        verb(self.spec, "predict", self.folder)
        extractor = classifier_features(
            self.model, f"{self.spec.model.name} of run {self.folder.name}", self.facts.shape
        )
        found: Tensor = extractor.features(self.read(images)).values
        return found

    @property
    def _output(self) -> Classes:
        return Classes(self.classes, self.facts.shape, self.rule)

    def _probabilities(self, samples: int | None) -> Callable[[Tensor], tuple[Tensor, Tensor | None]]:
        """Return the function from images to probabilities and, of several members or passes, theirs."""
        verb(self.spec, "predict", self.folder)  # refuses generative models before any work
        if samples is not None and (not isinstance(samples, int) or isinstance(samples, bool) or samples < 1):
            raise bad_value("samples", samples, "a whole number of at least 1")
        members = self.members  # their networks stay until the last image
        if samples is not None and members:
            raise InputError(f"{self.folder}: is an ensemble, whose members differ already; samples are of one network")
        if samples is not None and not any(is_stochastic(module) for module in self.model.modules()):
            raise InputError(
                f"samples: nothing in the network of {self.folder} is random, such as dropout; leave them out"
            )

        @torch.no_grad()
        def probabilities(images: Tensor) -> tuple[Tensor, Tensor | None]:
            with isolated():
                self.engine.apply()
                if samples is not None:
                    each = sampled(self.engine, self.model, self.predictor, images, samples)
                elif members:
                    parts = [in_chunks(one.engine, one._replicas, Predictor.uncalibrated, images) for one in members]
                    each = torch.stack(parts)
                else:
                    return in_chunks(self.engine, self._replicas, Predictor.__call__, images), None
                return apply_temperature(each.mean(0), self._temperature), each

        return probabilities
