"""Damaged files are named, over the whole corpus of cut and zeroed files; and what is no damage is none."""

from __future__ import annotations

import io
import struct
import zlib

import numpy as np
import pytest
from PIL import Image, ImageFile, PngImagePlugin

from seewhy.data import BadImageError, check_dataset, decode_file
from seewhy.data.formats import FORMATS, SUFFIXES, is_image_name

COMPRESSED = {
    "JPEG": {"quality": 85},
    "progressive": {"format": "JPEG", "quality": 85, "progressive": True},
    "grey": {"format": "JPEG", "mode": "L"},
    "CMYK": {"format": "JPEG", "mode": "CMYK"},
    "optimised": {"format": "JPEG", "optimize": True},
    "restart": {"format": "JPEG", "restart_marker_rows": 1},
    "exif": {"format": "JPEG", "exif": True},
    "PNG": {},
    "WEBP": {"quality": 80},
    "lossless": {"format": "WEBP", "lossless": True},
    "GIF": {},
    "AVIF": {},
    "TIFF": {"compression": "tiff_lzw"},
    "deflate": {"format": "TIFF", "compression": "tiff_adobe_deflate"},
}


def picture(size):
    rng = np.random.default_rng(5)
    smooth = np.asarray(
        Image.fromarray(rng.integers(0, 256, (9, 9, 3), dtype=np.uint8)).resize(size, Image.Resampling.BICUBIC)
    )
    return Image.fromarray((smooth + rng.normal(0, 6, smooth.shape)).clip(0, 255).astype(np.uint8))


def encoded(kind, size):
    options = dict(COMPRESSED[kind])
    form, mode = options.pop("format", kind), options.pop("mode", "RGB")
    if options.pop("exif", False):
        options["exif"] = Image.Exif()
        options["exif"][0x0112] = 6
    buffer = io.BytesIO()
    picture(size).convert(mode).save(buffer, form, **options)
    return buffer.getvalue()


def is_named(data, resolution):
    try:
        decode_file(data, resolution=resolution, channels=3)
    except BadImageError:
        return True
    return False


@pytest.mark.parametrize("resolution", [16, 64])
@pytest.mark.parametrize("kind", COMPRESSED)
@pytest.mark.parametrize("size", [(64, 64), (150, 110)])
def test_truncated_and_zeroed_files_are_named(kind, size, resolution):
    data = encoded(kind, size)
    assert not is_named(data, resolution)
    count = len(data)
    missed = []
    for share in (0.02, 0.1, 0.25, 0.4, 0.5, 0.6, 0.75, 0.9, 0.97):
        at = int(count * share)
        for name, damaged in (("cut", data[:at]), ("zeroed", data[:at] + b"\0" * (count - at))):
            if not is_named(damaged, resolution):
                missed.append((name, share))
    assert missed == [("zeroed", 0.97)] * (("zeroed", 0.97) in missed) * (kind in ("GIF", "TIFF", "deflate"))


@pytest.mark.parametrize(
    "kind", [kind for kind, options in COMPRESSED.items() if options.get("format", kind) == "JPEG"]
)
def test_a_hole_in_a_jpeg_is_named(kind):
    data = encoded(kind, (150, 110))
    start = data.find(b"\xff\xda") + 20
    for share in (0.1, 0.3, 0.5, 0.7):
        at = start + int((len(data) - start) * share)
        length = (len(data) - start) // 6
        assert is_named(data[:at] + b"\0" * length + data[at + length :], 16), share


def test_every_flipped_bit_in_a_png_is_named():
    data = encoded("PNG", (40, 40))
    start = data.find(b"IDAT")
    for at in range(start, len(data) - 12, 97):
        flipped = data[:at] + bytes([data[at] ^ 16]) + data[at + 1 :]
        assert is_named(flipped, 16), at


@pytest.mark.parametrize("size", [(16, 16), (150, 110)])
def test_padding_is_no_damage(size):
    data = encoded("JPEG", size)
    whole = decode_file(data, resolution=16, channels=3)
    cases = [data + b"\0" * 5000, data + b"\xff" * 100, data + b"trailer" * 9]
    cases += [
        data[:-2] + fill * n + data[-2:]
        for fill in (b"\0", b"\xff", b"x")
        for n in (1, 3, 8, 500)
        if fill != b"x" or n < 9
    ]
    for padded in cases:
        assert np.array_equal(decode_file(padded, resolution=16, channels=3), whole)


def test_a_broken_download_is_named_by_check_and_left_out(folder):
    root = folder({"a": 6, "b": 6}, size=(64, 64))
    path = root / "a" / "000.jpg"
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 2] + b"\0" * (len(data) - len(data) // 2))
    (issue,) = check_dataset(root).of("unreadable")
    assert issue.paths == ("a/000.jpg",)
    assert issue.severity == "error"


@pytest.mark.parametrize("compressed", [False, True])
def test_a_png_with_megabytes_of_text_is_no_damage(folder, compressed, monkeypatch):
    texts = PngImagePlugin.PngInfo()
    for k in range(3):
        texts.add_text(f"note{k}", "x" * 40_000_000 if compressed else "x" * 3_000_000, zip=compressed)
    texts.add_itxt("more", "é" * 2_000_000, zip=compressed)
    buffer = io.BytesIO()
    picture((16, 16)).save(buffer, "PNG", pnginfo=texts)
    expected = decode_file(encoded("PNG", (16, 16)), resolution=16, channels=3)
    assert np.array_equal(decode_file(buffer.getvalue(), resolution=16, channels=3), expected)
    root = folder({"a": 6, "b": 6})
    (root / "a" / "text.png").write_bytes(buffer.getvalue())
    assert check_dataset(root).of("unreadable") == ()


def test_whatever_pillow_decodes_is_an_image():
    Image.init()
    documents = {
        "EPS",
        "WMF",
        "HDF5",
        "GRIB",
        "BUFR",
        "MPEG",
        "FLI",
        "PCD",
        "GBR",
        "IPTC",
        "SPIDER",
        "IMT",
        "MCIDAS",
        "XVTHUMB",
    }
    assert set(Image.OPEN) - documents <= set(FORMATS)
    assert {suffix for suffix, form in Image.registered_extensions().items() if form in FORMATS} == set(SUFFIXES)
    assert is_image_name("a.b.JPG")
    assert not is_image_name("film.mpg")
    assert not is_image_name("paper.pdf")


@pytest.mark.parametrize(
    "form", ["AVIF", "PPM", "JPEG2000", "QOI", "TGA", "PCX", "SGI", "ICO", "DDS", "BMP", "DIB", "ICNS", "PNG"]
)
def test_formats_that_pillow_writes_are_read(form):
    buffer = io.BytesIO()
    picture((32, 32)).save(buffer, form)
    decoded = decode_file(buffer.getvalue(), resolution=32, channels=3).permute(1, 2, 0).numpy().astype(int)
    assert np.abs(decoded - np.asarray(picture((32, 32)))).mean() < 12


def test_an_icon_that_holds_a_bomb_is_named():
    def chunk(kind, body):
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    header = struct.pack(">IIBBBBB", 60_000, 60_000, 8, 2, 0, 0, 0)
    png = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b"")
    icon = struct.pack("<HHH", 0, 1, 1) + struct.pack("<BBBBHHII", 16, 16, 0, 0, 1, 24, len(png), 22) + png
    for data in (png, icon):
        with pytest.raises(BadImageError, match="has too many pixels: 3,600,000,000; the limit is 268,435,456 in all"):
            decode_file(data, resolution=16, channels=3)


def test_text_and_noise_are_no_images():
    rng = np.random.default_rng(0)
    for n in (1, 20, 500, 5000):
        for data in (rng.integers(0, 256, n, dtype=np.uint8).tobytes(), b"\0" * n, b"text " * n, b"<svg>" + b" " * n):
            assert is_named(data, 16)
    assert ImageFile.LOAD_TRUNCATED_IMAGES is False
