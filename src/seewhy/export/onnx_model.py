"""Predicting with an exported ONNX file, by onnxruntime."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Sequence, Sized
from itertools import groupby
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from seewhy.core.errors import InputError
from seewhy.core.files import user_path
from seewhy.data import BadImageError, DecodeRule, decode_file
from seewhy.data.codec import read_header
from seewhy.data.threads import in_threads
from seewhy.export.formats import onnx_session
from seewhy.runs.pipeline import pipelined
from seewhy.runs.predict import Classes, Prediction, predict_images

CHUNK, PIXELS = 64, 64 * 128**2
"""Images decoded at a time, and pixels of a call of the network, at most."""


class OnnxModel:
    """A classifier in a file that `seewhy export` has written.

    Args:
        file: ending in .onnx.

    Attributes:
        classes: names, in the order of the probabilities.
        record: what the file says of itself.

    Raises:
        InputError: there is no such file, it is damaged or another's, no classifier, or onnxruntime is missing.
    """

    def __init__(self, file: str | Path) -> None:
        self.file = user_path(file, "file")
        if not self.file.is_file():
            raise InputError(f"{self.file}: there is no such file")
        try:
            self._session = onnx_session(str(self.file))
        except InputError:
            raise
        except Exception as error:  # noqa: BLE001  onnxruntime raises kinds of its own
            raise InputError(f"{self.file}: is no ONNX file that onnxruntime can read: {error}") from None
        self.record: dict[str, Any] = self._read_record()
        decode = self.record["decode"]
        peaks = None if decode["peaks"] is None else (decode["peaks"][0], decode["peaks"][1])
        self._rule = DecodeRule(fit=decode["fit"], max_pixels=decode["max_pixels"], peaks=peaks)
        self.classes: tuple[str, ...] = tuple(self.record["classes"])
        channels, height, width = self.record["shape"]
        self._output = Classes(self.classes, (channels, height, width), self._rule)

    def _read_record(self) -> dict[str, Any]:
        values = self._session.get_modelmeta().custom_metadata_map
        if not {"classes", "decode", "shape"} <= set(values):
            raise InputError(f"{self.file}: is no classifier that `seewhy export` has written")
        try:
            return {name: json.loads(value) for name, value in values.items()}
        except ValueError:
            raise InputError(f"{self.file}: its metadata are damaged; export it again") from None

    def predict_each(
        self, images: Iterable[str], progress: Callable[[int, int], None] | None = None
    ) -> Iterator[Prediction]:
        """Yield a `Prediction` for every image file, in order; one that cannot be read yields one with `error` set.

        Args:
            images: paths; they are taken a chunk ahead of the predictions.
            progress: told (images done, images in all); of a generator, whose length is not known, in all those so far.
        """
        total, done = (len(images) if isinstance(images, Sized) else None), 0
        for predictions in pipelined(images, CHUNK, self._decode, self._predict):
            yield from predictions
            done += len(predictions)
            if progress is not None:
                progress(done, done if total is None else total)

    def _decode(self, paths: Sequence[str]) -> list[Tensor | str]:
        """Return images at their own sizes, uint8 (C, H, W), or why they cannot be read."""
        return list(in_threads(self._decode_one, paths))

    def _decode_one(self, path: str) -> Tensor | str:
        try:
            height, width, _ = read_header(path, self._rule)
            channels = self._output.shape[0]
            return decode_file(path, resolution=(height, width), channels=channels, rule=self._rule)
        except BadImageError as error:
            return str(error).removeprefix(f"{path}: ")

    def _predict(self, paths: Sequence[str], decoded: Sequence[Tensor | str]) -> list[Prediction]:
        """Predict decoded images, those of one size that follow one another together."""
        found: list[Prediction] = []
        for size, group in groupby(zip(paths, decoded, strict=True), lambda pair: _size(pair[1])):
            names, images = zip(*group, strict=True)
            if size is None:
                found += [
                    Prediction(name, None, None, error=reason) for name, reason in zip(names, images, strict=True)
                ]
                continue
            most = max(1, PIXELS // (size[0] * size[1]))
            for start in range(0, len(names), most):
                batch = torch.stack(images[start : start + most])
                found += predict_images(self._output, self._probabilities, batch, names[start : start + most])
        return found

    def _probabilities(self, images: Tensor) -> tuple[Tensor, None]:
        inputs = {"images": images.permute(0, 2, 3, 1).contiguous().numpy()}
        return torch.from_numpy(self._session.run(["probabilities"], inputs)[0]), None


def _size(image: Tensor | str) -> tuple[int, int] | None:
    return None if isinstance(image, str) else (image.shape[1], image.shape[2])
