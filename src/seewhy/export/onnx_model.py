"""Predicting with an exported ONNX file, by onnxruntime."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from seewhy.core.errors import InputError
from seewhy.core.files import user_path
from seewhy.data import BadImageError, DecodeRule, decode_file
from seewhy.data.codec import read_header
from seewhy.export.formats import onnx_session
from seewhy.runs.predict import Classes, Prediction, predict_images


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
        self, images: Sequence[str], progress: Callable[[int, int], None] | None = None
    ) -> Iterator[Prediction]:
        """Yield a `Prediction` for every image file, in order; one that cannot be read yields one with `error` set.

        Args:
            images: paths.
            progress: told (images done, images in all).
        """
        for done, path in enumerate(images, start=1):
            try:
                yield from predict_images(self._output, self._probabilities, self._decode(path), [path])
            except BadImageError as error:
                yield Prediction(path, None, None, error=str(error).removeprefix(f"{path}: "))
            if progress is not None:
                progress(done, len(images))

    def _decode(self, path: str) -> Tensor:
        """Return an image at its own size, uint8 (1, C, H, W)."""
        height, width, _ = read_header(path, self._rule)
        channels = self._output.shape[0]
        return decode_file(path, resolution=(height, width), channels=channels, rule=self._rule)[None]

    def _probabilities(self, images: Tensor) -> tuple[Tensor, None]:
        inputs = {"images": images.permute(0, 2, 3, 1).contiguous().numpy()}
        return torch.from_numpy(self._session.run(["probabilities"], inputs)[0]), None
