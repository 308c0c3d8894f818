from __future__ import annotations

import io
import re
import struct
import warnings
import zlib

import numpy as np
import pytest
import torch
from PIL import Image, ImageFile

from seewhy.core.errors import InputError
from seewhy.data import jpeg
from seewhy.data.codec import decode_file, decode_many, from_pixels, largest_value, read_header
from seewhy.data.fitting import DecodeRule
from seewhy.data.pillow_limits import strict_pillow
from seewhy.data.reading import BadImageError
from seewhy.data.threads import in_threads


def save(image: Image.Image, form: str, **options) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, form, **options)
    return buffer.getvalue()


def reason(data) -> str:
    with pytest.raises(BadImageError) as caught:
        decode_file(data, resolution=16, channels=3)
    return str(caught.value)


def bomb() -> bytes:
    """A PNG that claims 60,000 x 60,000 pixels."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    header = struct.pack(">IIBBBBB", 60_000, 60_000, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b"")


@pytest.mark.parametrize("form", ["PNG", "BMP", "TIFF", "WEBP", "GIF", "JPEG"])
def test_every_format_decodes(form, make_image):
    image = make_image(1)
    options = {"WEBP": {"lossless": True}, "JPEG": {"quality": 95, "subsampling": 0}}.get(form, {})
    decoded = decode_file(save(image, form, **options), resolution=16, channels=3)
    assert decoded.shape == (3, 16, 16)
    assert decoded.dtype == torch.uint8
    error = np.abs(decoded.permute(1, 2, 0).numpy().astype(int) - np.asarray(image))
    assert error.mean() <= {"GIF": 8, "JPEG": 3}.get(form, 0)


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("mode", ["RGB", "L", "CMYK"])
def test_the_fast_jpeg_path_gives_pillows_pixels(mode, channels, encoded, monkeypatch):
    pytest.importorskip("simplejpeg")
    for seed in range(5):
        data = encoded(seed, size=(33, 33), mode=mode, quality=75)
        fast = decode_file(data, resolution=33, channels=channels)
        with monkeypatch.context() as patch:
            patch.setattr(jpeg, "simplejpeg", None)
            slow = decode_file(data, resolution=33, channels=channels)
        assert torch.equal(fast, slow)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("form", ["JPEG", "PNG"])
def test_exif_orientation_is_applied(orientation, form):
    upright = np.full((16, 24, 3), 255, np.uint8)
    upright[:8, :8] = 0  # a black corner at the top left
    back = {2: 1, 3: (0, 1), 4: 0}
    stored = upright
    if orientation in (2, 3, 4):
        stored = np.flip(upright, back[orientation])
    elif orientation >= 5:
        turned = upright.transpose(1, 0, 2)  # 5: transpose; 6, 8: stored rotated; 7: transverse
        stored = {
            5: turned,
            6: np.flip(turned, 0),
            7: np.flip(turned, (0, 1)),
            8: np.flip(turned, 1),
        }[orientation]
    image = Image.fromarray(np.ascontiguousarray(stored))
    exif = Image.Exif()
    exif[0x0112] = orientation
    decoded = decode_file(save(image, form, exif=exif), resolution=(16, 24), channels=3).permute(1, 2, 0).numpy()
    assert np.abs(decoded.astype(int) - upright).max() < 60, "the corner is where it was photographed"


def test_broken_exif_does_not_cost_the_image(encoded):
    data = encoded(3)
    segment = b"Exif\0\0" + b"MM\0\x2a\xff\xff\xff\xff" + b"\0" * 8
    broken = data[:2] + b"\xff\xe1" + struct.pack(">H", len(segment) + 2) + segment + data[2:]
    assert torch.equal(decode_file(broken, resolution=16, channels=3), decode_file(data, resolution=16, channels=3))


def test_transparency_is_laid_on_white():
    pixels = np.zeros((8, 8, 4), np.uint8)
    pixels[:, :4] = (200, 0, 0, 255)
    pixels[:, 4:] = (0, 0, 0, 0)
    rgba = Image.fromarray(pixels)
    grey = rgba.convert("LA")
    palette = Image.new("P", (8, 8), 1)
    palette.putpalette([200, 0, 0, 9, 9, 9])
    palette.paste(0, (0, 0, 4, 8))
    keyed = Image.new("RGB", (8, 8), (1, 2, 3))
    keyed.paste((200, 0, 0), (0, 0, 4, 8))
    cases = [save(rgba, "PNG"), save(palette, "PNG", transparency=1), save(keyed, "PNG", transparency=(1, 2, 3))]
    for data in cases:
        decoded = decode_file(data, resolution=8, channels=3)
        assert decoded[:, 0, 0].tolist() == [200, 0, 0]
        assert decoded[:, 0, 7].tolist() == [255, 255, 255]
    assert decode_file(save(grey, "PNG"), resolution=8, channels=1)[0, 0].tolist()[-1] == 255


def test_cmyk_is_converted():
    cmyk = Image.new("CMYK", (16, 16), (0, 255, 255, 0))  # red
    for data in (save(cmyk, "JPEG", quality=95), save(cmyk, "TIFF")):
        red, green, blue = decode_file(data, resolution=16, channels=3)[:, 8, 8].tolist()
        assert red > 220
        assert max(green, blue) < 60


def test_deep_pixels_keep_their_high_byte():
    ramp = (np.arange(256, dtype=np.uint16) * 257).reshape(16, 16)
    expected = torch.arange(256, dtype=torch.uint8).reshape(1, 16, 16)
    for form in ("PNG", "TIFF"):
        assert torch.equal(decode_file(save(Image.fromarray(ramp), form), resolution=16, channels=1), expected)
    integers = save(Image.fromarray(ramp.astype(np.int32)), "TIFF")
    assert torch.equal(decode_file(integers, resolution=16, channels=1), expected)
    unit = save(Image.fromarray((ramp / 65535).astype(np.float32)), "TIFF")
    assert torch.equal(decode_file(unit, resolution=16, channels=1), expected)
    wide = save(Image.fromarray(np.arange(256, dtype=np.float32).reshape(16, 16)), "TIFF")
    assert torch.equal(decode_file(wide, resolution=16, channels=3), expected.expand(3, 16, 16))


def test_the_first_frame_of_an_animation_counts():
    frames = [Image.new("RGB", (8, 8), colour) for colour in ("red", "blue", "lime")]
    data = save(frames[0], "GIF", save_all=True, append_images=frames[1:], duration=50)
    assert decode_file(data, resolution=8, channels=3)[:, 4, 4].tolist() == [255, 0, 0]


@pytest.mark.parametrize(("size", "resolution"), [((400, 300), 64), ((300, 400), 64), ((20, 30), 64), ((1000, 90), 32)])
def test_images_are_scaled_to_cover_and_cut_at_the_centre(size, resolution, make_image):
    image = make_image(5, size)
    scale = resolution / min(size)
    whole = image.resize((round(size[0] * scale), round(size[1] * scale)), Image.Resampling.BILINEAR)
    left, top = (whole.width - resolution) // 2, (whole.height - resolution) // 2
    twin = np.asarray(whole.crop((left, top, left + resolution, top + resolution))).astype(int)
    for form in ("PNG", "JPEG"):
        decoded = decode_file(save(image, form, quality=95), resolution=resolution, channels=3)
        assert np.abs(decoded.permute(1, 2, 0).numpy() - twin).mean() < 6


def test_damaged_files_say_what_is_wrong(encoded, tmp_path):
    jpeg, png = encoded(1, size=(64, 64)), encoded(1, "PNG", size=(64, 64))
    assert "truncated" in reason(jpeg[: len(jpeg) // 2])
    assert "truncated" in reason(jpeg[:-20])
    assert "truncated" in reason(png[: len(png) // 2])
    assert "is not a JPEG" in reason(b"These are not the pixels you are looking for.")
    limit = "has too many pixels: 3,600,000,000; the limit is 268,435,456 in all (data.max_pixels)"
    assert reason(bomb()) == f"image: {limit}"
    with strict_pillow(), pytest.raises(BadImageError, match=re.escape(limit)):
        read_header(bomb())
    with pytest.raises(BadImageError, match=re.escape("16 x 16; the limit is 100 in all (data.max_pixels)")):
        largest_value(encoded(1, "TIFF", mode="F"), DecodeRule(max_pixels=100))
    empty = tmp_path / "empty.jpg"
    empty.touch()
    assert reason(str(empty)) == f"{empty}: is empty (0 bytes)"
    assert "No such file" in reason(str(tmp_path / "absent.jpg"))
    assert "is a folder, not a file" in reason(str(tmp_path))


def test_a_truncated_small_jpeg_is_never_filled_with_grey(encoded):
    data = encoded(2, size=(16, 16))
    for cut in (5, 40, 200, 450):
        with pytest.raises(BadImageError):
            decode_file(data[:-cut], resolution=16, channels=3)


def test_a_lenient_pillow_elsewhere_does_not_make_us_lenient(encoded, monkeypatch):
    monkeypatch.setattr(ImageFile, "LOAD_TRUNCATED_IMAGES", True)
    assert "truncated" in reason(encoded(1, size=(64, 64))[:-100])
    assert ImageFile.LOAD_TRUNCATED_IMAGES is True, "and the switch is put back"


def test_the_limit_on_pixels_is_ours_and_gives_no_warnings(encoded, monkeypatch):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert decode_file(encoded(1, "PNG", size=(40, 40)), resolution=16, channels=3).shape == (3, 16, 16)
        for size in ((40, 40), (100, 100)):
            with pytest.raises(BadImageError, match="too many pixels"):
                decode_file(encoded(1, "PNG", size=size), resolution=16, channels=3, rule=DecodeRule(max_pixels=1000))
    assert Image.MAX_IMAGE_PIXELS == 100


def test_a_jpeg_counts_at_the_size_to_which_it_is_decoded(encoded):
    rule = DecodeRule(max_pixels=20_000)
    data = encoded(1, size=(800, 600))
    assert decode_file(data, resolution=16, channels=3, rule=rule).shape == (3, 16, 16)
    with pytest.raises(BadImageError, match="800 x 600"):
        decode_file(encoded(1, size=(800, 600), progressive=True), resolution=16, channels=3, rule=rule)
    with pytest.raises(BadImageError, match="800 x 600"):
        decode_file(data, resolution=512, channels=3, rule=rule)


def test_strict_blocks_nest_and_restore_the_filters():
    before = list(warnings.filters)
    with strict_pillow(), strict_pillow():
        warnings.warn("swallowed", UserWarning, stacklevel=1)
    assert warnings.filters == before


def test_not_a_number_is_no_pixel():
    deep = np.zeros((4, 4), np.float32)
    deep[1, 1] = np.nan
    assert "not finite" in reason(save(Image.fromarray(deep), "TIFF"))


def test_decode_many_keeps_the_order_and_reports_failures(encoded):
    sources = [encoded(seed) for seed in range(100)]
    sources[7], sources[50] = b"", b"no image"
    images, failures = decode_many(sources, resolution=16, channels=3, threads=3)
    assert [position for position, _ in failures] == [7, 50]
    assert images.shape == (98, 3, 16, 16)
    assert images.is_contiguous(memory_format=torch.channels_last)
    good = [data for position, data in enumerate(sources) if position not in (7, 50)]
    for position in (0, 6, 7, 48, 97):
        assert torch.equal(images[position], decode_file(good[position], resolution=16, channels=3))
    assert decode_many([], resolution=16, channels=3)[0].shape == (0, 3, 16, 16)


def test_decode_many_reports_when_every_image_fails():
    images, failures = decode_many([b"x", b"y"], resolution=4, channels=1)
    assert images.shape == (0, 1, 4, 4)
    assert len(failures) == 2


def test_from_pixels_agrees_with_files(make_image):
    image = make_image(4, (20, 20))
    expected = decode_file(save(image, "PNG"), resolution=16, channels=3)
    array = np.array(image)
    for given in (image, array, torch.from_numpy(array).permute(2, 0, 1)):
        assert torch.equal(from_pixels(given, resolution=16, channels=3), expected)
    assert from_pixels(array[..., 0], resolution=20, channels=3)[1].equal(torch.from_numpy(array[..., 0]))


@pytest.mark.parametrize(
    "given",
    [
        np.full((4, 4), 1.5, np.float32),
        np.full((4, 4), 300),
        np.zeros((4, 4), np.uint16),
        None,
        "x",
        np.zeros((4, 4, 5), np.uint8),
        torch.zeros(5, 4, 3, dtype=torch.uint8),
        3.0,
    ],
)
def test_from_pixels_refuses_what_is_no_image(given):
    with pytest.raises(InputError, match=r"^image: "):
        from_pixels(given, resolution=16, channels=3)


@pytest.mark.parametrize(("resolution", "channels"), [(0, 3), (8, 2)])
def test_impossible_shapes_are_refused(resolution, channels, encoded):
    with pytest.raises(InputError, match=r"^(resolution|channels): must be"):
        decode_file(encoded(1), resolution=resolution, channels=channels)


def test_threads_give_results_in_order_and_pass_errors_on():
    assert list(in_threads(lambda x: x * x, range(50), 4)) == [x * x for x in range(50)]
    assert list(in_threads(lambda x: x, [], 4)) == []
    with pytest.raises(ZeroDivisionError):
        list(in_threads(lambda x: 1 // (x - 20), range(50), 2))
