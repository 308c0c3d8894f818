"""What browsers send: raw bodies of a limited size, kept in memory, and images in them decoded by the rule of a run's own."""

from __future__ import annotations

import base64
import binascii
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from starlette.exceptions import HTTPException
from starlette.requests import Request

from seewhy.core.errors import InputError
from seewhy.core.json_lines import parse

if TYPE_CHECKING:
    from torch import Tensor

    from seewhy.runs.run import Run

BYTES = 64 << 20
"""Of one body."""

PIXELS = 1 << 26
"""Of one image: 67 million, where a file in a data set may have more."""


async def body_of(request: Request, limit: int = BYTES) -> bytes:
    """Return the body of a request; one of more than `limit` bytes is refused with 413, before it is read where it says its size."""
    declared = request.headers.get("content-length", "0")
    if declared.isdecimal() and int(declared) > limit:
        raise _too_large(limit)
    parts, size = [], 0
    async for chunk in request.stream():
        size += len(chunk)
        if size > limit:
            raise _too_large(limit)
        parts.append(chunk)
    return b"".join(parts)


async def json_of(request: Request, limit: int = BYTES) -> dict[str, Any]:
    """Return the JSON object of a request; anything else is refused with 422."""
    try:
        value = parse(await body_of(request, limit))
    except ValueError as error:
        raise InputError(f"body: must be a JSON object: {error}") from None
    if not isinstance(value, dict):
        raise InputError("body: must be a JSON object")
    return value


def bytes_of(text: object, field: str) -> bytes:
    """Return the bytes of a text in base64; raises InputError."""
    try:
        return base64.b64decode(text, validate=True)  # type: ignore[arg-type]
    except (binascii.Error, ValueError, TypeError):
        raise InputError(f"{field}: must be an image in base64") from None


def pixels_of(run: Run, data: bytes, name: str = "image") -> Tensor:
    """Return one uploaded image at a run's size, uint8 (C, H, W), by the rule of its data, but of fewer pixels; raises InputError."""
    from seewhy.data import decode_many

    if not data:
        raise InputError(f"{name}: is empty (0 bytes)")
    channels, _, side = run.facts.shape
    rule = replace(run.rule, max_pixels=min(run.rule.max_pixels, PIXELS))
    images, failures = decode_many([data], resolution=side, channels=channels, rule=rule, threads=1)
    if failures:
        raise InputError(f"{name}: {failures[0][1]}")
    return images[0]


def _too_large(limit: int) -> HTTPException:
    return HTTPException(413, f"must be at most {limit:,} bytes; send a smaller file")
