"""Backbones by name: what is recorded of their pretraining, and their layers without the classes that they were trained on.

The libraries are imported when one is asked for: torchvision comes with seewhy, timm with `pip install 'seewhy[timm]'`.
"""

from __future__ import annotations

import fnmatch
import functools
import importlib.util
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import torch
from torch import Tensor, nn

from seewhy.core.errors import InputError, nearest

Library = Literal["timm", "torchvision"]

LEFT_OUT: Mapping[str, str] = {
    **dict.fromkeys(("googlenet", "inception_v3"), "it has several outputs while it trains"),
    **dict.fromkeys(
        ("squeezenet1_0", "squeezenet1_1"), "its last layer with weights is a convolution, no linear layer"
    ),
}
"""Classifiers of torchvision whose head cannot be replaced by a linear layer, and why."""

SIZED: Mapping[str, Mapping[str, Any]] = {"vit": {"image_size": 0}, "max": {"input_size": (0, 0)}}
"""Arguments of torchvision's constructors that are sides of images, by the first letters of the name."""

IMAGENET = 1000
"""Classes of torchvision's classifiers."""


@dataclass(frozen=True, kw_only=True)
class Record:
    """What is known of a backbone's pretraining.

    Attributes:
        library: where it comes from.
        name: in the library.
        input_size: side in pixels of the images.
        crop: share of a resized image's side that the central crop shows.
        interpolation: "bilinear" or "bicubic", of the resizing.
        mean, std: by which channels are normalised, in units where 255 is 1.
        licence: of the weights, "" where it is not recorded.
        hub: the repository of the weights on the Hugging Face hub; "" where they lie elsewhere.
        url: of the file of the weights, "" where there is none.
        classifier: names of the layers that map features to the classes of the pretraining.
        options: of the constructor, by which the body is made without them.
    """

    library: Library
    name: str
    input_size: int
    crop: float
    interpolation: str
    mean: tuple[float, ...]
    std: tuple[float, ...]
    licence: str = ""
    hub: str = ""
    url: str = ""
    classifier: tuple[str, ...] = ()
    options: Mapping[str, Any] = field(default_factory=dict)

    def resized(self, input_size: int) -> int:
        """Return the side to which an image is resized before a central crop of `input_size`."""
        return round(input_size / self.crop)


def has_timm() -> bool:
    """Whether timm is installed."""
    return importlib.util.find_spec("timm") is not None


def _timm() -> Any:
    try:
        import timm
    except ModuleNotFoundError as error:
        raise InputError(
            f"model.name: backbones of timm need it ({error}); pip install 'seewhy[timm]', or choose torchvision"
        ) from None
    return timm


@functools.cache
def backbone_names(library: Library, pattern: str = "*") -> tuple[str, ...]:
    """Return the names of a library's backbones: of timm, one for each set of weights and one for each architecture without.

    Args:
        library: "timm" or "torchvision".
        pattern: as of file names, such as "convnext*"; a text without wildcards is looked for anywhere.
    """
    if library == "timm":
        timm = _timm()
        tagged = timm.list_models(pretrained=True, include_tags=True)
        found = sorted({*tagged, *timm.list_models()})
    else:
        from torchvision import models

        found = [name for name in models.list_models(module=models) if name not in LEFT_OUT]
    wanted = pattern if any(sign in pattern for sign in "*?[") else f"*{pattern}*"
    return tuple(name for name in found if fnmatch.fnmatchcase(name, wanted))


def record_of(library: Library, name: str) -> Record:
    """Return what is known of a backbone.

    Raises:
        InputError: there is none of this name, with the nearest, or timm is not there.
    """
    names = backbone_names(library)
    if library == "torchvision" and name in LEFT_OUT:
        raise InputError(
            f"model.backbone: {name!r} of torchvision cannot be taken as a backbone, for {LEFT_OUT[name]}; choose another: `seewhy techniques "
            "--backbones PATTERN` lists them"
        )
    if name not in names:
        hint = nearest(name, names) or nearest(name.split(".")[0], names)
        meant = f"did you mean {hint!r}? " if hint else ""
        raise InputError(
            f"model.backbone: {name!r} is no backbone of {library}; {meant}`seewhy techniques --backbones PATTERN` lists them"
        )
    return _timm_record(name) if library == "timm" else _torchvision_record(name)


def _timm_record(name: str) -> Record:
    config = _timm().get_pretrained_cfg(name)
    classifier = config.classifier or ()
    return Record(
        library="timm",
        name=name,
        input_size=config.input_size[1],
        crop=config.crop_pct,
        interpolation="bilinear" if config.interpolation == "bilinear" else "bicubic",
        mean=tuple(config.mean),
        std=tuple(config.std),
        licence=config.license or "",
        hub=config.hf_hub_id or "",
        url=config.url or "",
        classifier=(classifier,) if isinstance(classifier, str) else tuple(classifier),
        options={"fixed": bool(config.fixed_input_size), "shape": tuple(config.input_size)},
    )


def _torchvision_record(name: str) -> Record:
    from torchvision import models

    weights: Any = models.get_model_weights(name).DEFAULT
    transforms = weights.transforms()
    size = transforms.crop_size[0]
    return Record(
        library="torchvision",
        name=name,
        input_size=size,
        crop=size / transforms.resize_size[0],
        interpolation=transforms.interpolation.value,
        mean=tuple(transforms.mean),
        std=tuple(transforms.std),
        licence="BSD-3-Clause",
        url=weights.url,
        options=SIZED.get(name[:3], {}),
    )


def make_body(record: Record, input_size: int) -> tuple[nn.Module, int]:
    """Return a backbone with random weights, normalised images (N, 3, S, S) to features (N, D), and D.

    Args:
        record: of the backbone.
        input_size: S, to which position embeddings and windows are fitted.

    Raises:
        InputError: the backbone cannot be made for images of this size.
    """
    try:
        body = _timm_body(record, input_size) if record.library == "timm" else _torchvision_body(record, input_size)
        body.eval()
        with torch.no_grad():
            features: Tensor = body(torch.zeros(1, 3, input_size, input_size))
    except InputError:
        raise
    except (RuntimeError, ValueError, AssertionError, TypeError) as error:
        raise InputError(
            f"model.input_size: {record.name} cannot be made for images of {input_size} px ({_first_line(error)}); its own size is "
            f"{record.input_size}"
        ) from error
    return body.train(), features.shape[1]


def _first_line(error: Exception) -> str:
    return str(error).strip().split("\n")[0][:160] or type(error).__name__


def _timm_body(record: Record, input_size: int) -> nn.Module:
    channels, height, width = record.options["shape"]
    if channels != 3 or height != width:
        raise InputError(
            f"model.backbone: {record.name} takes {record.options['shape']}, not square colour images; choose another"
        )
    options = {"img_size": input_size} if record.options["fixed"] and input_size != record.input_size else {}
    body: nn.Module = _timm().create_model(record.name, pretrained=False, num_classes=0, **options)
    return body


def _torchvision_body(record: Record, input_size: int) -> nn.Module:
    from torchvision import models

    options = {
        name: (input_size, input_size) if isinstance(usual, tuple) else input_size
        for name, usual in record.options.items()
    }
    body: nn.Module = models.get_model(record.name, weights=None, **options)
    name, _ = [
        (name, module)
        for name, module in body.named_modules()
        if isinstance(module, nn.Linear) and module.out_features == IMAGENET
    ][-1]
    owner, _, attribute = name.rpartition(".")
    setattr(body.get_submodule(owner), attribute, nn.Identity())
    return body
