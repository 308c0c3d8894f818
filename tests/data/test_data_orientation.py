"""Every decoder agrees with `PIL.ImageOps.exif_transpose`, whatever the format, the size, and the place of the orientation."""

from __future__ import annotations

import io
import struct
import zlib

import numpy as np
import pytest
from PIL import Image, ImageOps

from seewhy.data import decode_file, from_pixels
from seewhy.data.codec import decode_into, read_header

XMP = (
    '<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#"><rdf:Description rdf:about="" '
    'xmlns:tiff="http://ns.adobe.com/tiff/1.0/" tiff:Orientation="{}"/></rdf:RDF></x:xmpmeta>'
)
SIZES = [(16, 16), (24, 16), (16, 24), (40, 30), (300, 170)]
FORMATS = ["JPEG", "PNG", "WEBP", "TIFF"]


def image_of(size):
    rng = np.random.default_rng(3)
    return Image.fromarray(rng.integers(0, 256, (3, 4, 3), dtype=np.uint8)).resize(size, Image.Resampling.BICUBIC)


def encoded(size, form, orientation, place, mode="RGB"):
    image, buffer = image_of(size).convert(mode), io.BytesIO()
    options = {"JPEG": {"quality": 95}, "WEBP": {"lossless": True}}.get(form, {})
    exif = Image.Exif()
    exif[0x0112] = orientation
    xmp = XMP.format(orientation).encode()
    if place == "exif":
        image.save(buffer, form, exif=exif, **options)
    elif form == "PNG":
        image.save(buffer, form)
        body = b"iTXtXML:com.adobe.xmp\0\0\0\0\0" + xmp
        data = buffer.getvalue()  # behind the header chunk
        return data[:33] + struct.pack(">I", len(body) - 4) + body + struct.pack(">I", zlib.crc32(body)) + data[33:]
    elif form == "TIFF":
        image.save(buffer, form, tiffinfo={700: xmp})
    else:
        image.save(buffer, form, xmp=xmp, **options)
    return buffer.getvalue()


@pytest.mark.parametrize("place", ["exif", "xmp"])
@pytest.mark.parametrize("form", FORMATS)
def test_decoders_agree_with_exif_transpose(form, place, tmp_path):
    for size in SIZES:
        for orientation in range(1, 9):
            data = encoded(size, form, orientation, place)
            reference = ImageOps.exif_transpose(Image.open(io.BytesIO(data)))
            turned = orientation >= 5 and not (form == "TIFF" and place == "xmp" and reference.size == size)
            assert reference.size == (size[::-1] if turned else size)
            exact = np.empty((reference.height, reference.width, 3), np.uint8)
            header = decode_into(data, exact)
            what = (form, place, size, orientation)
            assert header[:2] == (reference.height, reference.width), what
            assert np.abs(exact.astype(int) - np.asarray(reference.convert("RGB"))).max() <= 1, what
            path = tmp_path / "image"
            path.write_bytes(data)
            assert read_header(str(path))[:2] == (reference.height, reference.width), what
            small = decode_file(data, resolution=12, channels=3)
            again = from_pixels(Image.open(io.BytesIO(data)), resolution=12, channels=3)
            assert np.abs(small.numpy().astype(int) - again.numpy()).max() <= (0 if form != "JPEG" else 24), what


@pytest.mark.parametrize("place", ["exif", "xmp"])
def test_a_grey_jpeg_of_exactly_the_wanted_size_is_turned_too(place):
    for orientation in range(1, 9):
        data = encoded((16, 16), "JPEG", orientation, place, mode="L")
        reference = ImageOps.exif_transpose(Image.open(io.BytesIO(data)))
        assert np.array_equal(decode_file(data, resolution=16, channels=1)[0].numpy(), np.asarray(reference))


@pytest.mark.parametrize("size", [(64, 64), (65, 43), (300, 200), (1000, 700), (31, 900)])
@pytest.mark.parametrize("mode", ["RGB", "L", "CMYK"])
def test_scaled_jpegs_have_pillows_pixels(size, mode):
    for progressive in (False, True):
        buffer = io.BytesIO()
        image_of(size).convert(mode).save(buffer, "JPEG", quality=85, progressive=progressive)
        reference = Image.open(buffer)
        reference.draft(None, (32, 32))
        expected = from_pixels(reference, resolution=16, channels=3)
        assert np.array_equal(decode_file(buffer.getvalue(), resolution=16, channels=3), expected)
