"""What Pillow does not check: the checksums of a PNG's pixels, and zeros where a compressed image should go on.

A broken download has the length of the whole file and zeros where data did not come; decoders take them for pixels.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator

from seewhy.data.reading import BadImageError

PNG = b"\x89PNG\r\n\x1a\n"
_TEXTS = (b"tEXt", b"zTXt", b"iTXt", b"iCCP")
_WEBP_PIXELS = (b"VP8 ", b"VP8L", b"ANMF")
_ZEROS = 24
"""Zeros at the end of compressed pixels, which no encoder writes."""


def validate(data: bytes) -> None:
    """Raise BadImageError where a PNG's, a WebP's or an AVIF's data are not what was written."""
    if data.startswith(PNG):
        for kind, start, end in _chunks(data):
            if kind == b"IDAT" and zlib.crc32(data[start + 4 : end - 4]) != struct.unpack_from(">I", data, end - 4)[0]:
                raise BadImageError("is damaged: the checksum of its pixels is wrong")
        return
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        ends = [end for kind, _, end in _riff_chunks(data) if kind in _WEBP_PIXELS]
    elif data[4:8] == b"ftyp":
        ends = [end for kind, _, end in _boxes(data) if kind == b"mdat"]
    else:
        return
    if any(not data[end - _ZEROS : end].strip(b"\0") for end in ends):
        raise BadImageError("is damaged: zeros stand where its data should go on")


def without_texts(data: bytes) -> bytes:
    """Return a PNG without its texts and colour profile, which may be larger than Pillow unpacks."""
    return PNG + b"".join(data[start:end] for kind, start, end in _chunks(data) if kind not in _TEXTS)


def _chunks(data: bytes) -> Iterator[tuple[bytes, int, int]]:
    """Yield the whole chunks of a PNG as (kind, start, end)."""
    start = len(PNG)
    while start + 12 <= len(data):
        length, kind = struct.unpack_from(">I4s", data, start)
        end = start + 12 + length
        if end > len(data):
            return
        yield kind, start, end
        start = end


def _riff_chunks(data: bytes) -> Iterator[tuple[bytes, int, int]]:
    """Yield the whole chunks of a WebP as (kind, start, end)."""
    start = 12
    while start + 8 <= len(data):
        kind, length = struct.unpack_from("<4sI", data, start)
        end = start + 8 + length
        if end > len(data):
            return
        yield kind, start, end
        start = end + length % 2


def _boxes(data: bytes) -> Iterator[tuple[bytes, int, int]]:
    """Yield the outer boxes of an AVIF or another ISO base media file as (kind, start, end); the last may be open."""
    start = 0
    while start + 16 <= len(data):
        length, kind, large = struct.unpack_from(">I4sQ", data, start)
        end = start + (large if length == 1 else length) if length else len(data)
        if end <= start or end > len(data):
            return
        yield kind, start, end
        start = end
