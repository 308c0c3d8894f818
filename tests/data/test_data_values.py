"""Deep pixels by one scale, repeated images, shapes and emptiness, and arrays that are too large, lie, or have no labels."""

from __future__ import annotations

import contextlib
import io
import struct
import zipfile

import numpy as np
import pytest
import torch
from PIL import Image

from seewhy.core.errors import InputError
from seewhy.data import (
    DecodeOptions,
    DecodeRule,
    SplitOptions,
    check_dataset,
    decode_file,
    from_pixels,
    list_images,
    load_dataset,
)
from seewhy.data.fitting import peak_of
from seewhy.data.sources import archive


def write(root, arrays, suffix="png"):
    for n, array in enumerate(arrays):
        path = root / "ab"[n % 2] / f"{n:03}.{suffix}"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(array).save(path)
    return root


def every(data):
    """All images in the order of their names, and the names."""
    rows = sorted((name, i, split) for split, part in data.splits.items() for i, name in enumerate(part.names))
    return torch.stack([data.splits[split].images(torch.tensor([i]))[0] for _, i, split in rows])


# deep pixels


DEEP = [
    (12, np.uint16, "png"),
    (10, np.uint16, "tiff"),
    (14, np.uint16, "png"),
    (16, np.uint16, "png"),
    (8, np.uint16, "tiff"),
]
DEEP += [(bits, np.int32, "tiff") for bits in (8, 12, 16)] + [(bits, np.float32, "tiff") for bits in (0, 8, 16)]


@pytest.mark.parametrize(("bits", "dtype", "suffix"), DEEP)
def test_one_scale_for_the_deep_images_of_a_data_set(tmp_path, bits, dtype, suffix):
    rng, white = np.random.default_rng(0), (1 << bits) - 1 or 1
    unit = rng.random((20, 8, 8)) * np.linspace(0.05, 1, 20)[:, None, None]  # some images are dark, and stay so
    unit[-1, 0, 0] = 1
    data = load_dataset(write(tmp_path / "set", (unit * white).astype(dtype), suffix))
    images = every(data)[:, 0].double() / 255
    assert (images - torch.from_numpy(unit[np.argsort(np.arange(20) % 2, kind="stable")])).abs().max() < 1.1 / 255
    (note,) = data.audit.of("deep_pixels")
    assert f"{white:,}" in note.message
    assert data.rule.peaks[int(dtype == np.float32)] == white


def test_the_scale_of_a_run_decodes_images_elsewhere(tmp_path):
    deep = (np.arange(64, dtype=np.uint16) * 65).reshape(8, 8)
    rule = load_dataset(write(tmp_path / "set", [deep] * 8)).rule
    dark = write(tmp_path / "other", [deep // 20] * 8)
    expected = torch.from_numpy((deep // 20 >> 4).astype(np.uint8))
    assert torch.equal(decode_file(dark / "a" / "000.png", resolution=8, channels=1, rule=rule)[0], expected)
    assert torch.equal(
        from_pixels(Image.open(dark / "a" / "000.png"), resolution=8, channels=1, rule=rule)[0], expected
    )
    assert torch.equal(every(load_dataset(dark, decode=DecodeOptions(peaks=rule.peaks)))[0, 0], expected)


def test_the_splits_of_an_archive_have_one_scale(tmp_path):
    rng = np.random.default_rng(0)
    train, test = (rng.integers(0, high, (10, 4, 4), dtype=np.uint16) for high in (4096, 200))
    train[0, 0, 0] = 4095
    np.savez(tmp_path / "set.npz", x_train=train, y_train=np.arange(10) % 2, x_test=test, y_test=np.arange(10) % 2)
    data = load_dataset(tmp_path / "set.npz", split=SplitOptions(val_fraction=0.0))
    assert torch.equal(data.train.images(torch.arange(10))[:, 0], torch.from_numpy((train >> 4).astype(np.uint8)))
    assert torch.equal(data.test.images(torch.arange(10))[:, 0], torch.from_numpy((test >> 4).astype(np.uint8)))
    resized = load_dataset(tmp_path / "set.npz", decode=DecodeOptions(resolution=4, channels=3))
    assert resized.train.images(torch.arange(1)).shape == (1, 3, 4, 4)
    assert "12-bit" in data.audit.of("deep_pixels")[0].message


def test_peaks():
    values = [
        (255, 255),
        (256, 1023),
        (1023, 1023),
        (1024, 4095),
        (4095, 4095),
        (4096, 16383),
        (40000, 65535),
        (65536, 262143),
        (0, 65535),
    ]
    assert [peak_of(value, unit=False) for value, _ in values] == [peak for _, peak in values]
    assert [peak_of(value, unit=True) for value in (0.0, 0.3, 1.0, 1.1, 255.0, 300.0)] == [1, 1, 1, 255, 255, 1023]


# repeated images


def test_generative_models_split_repeated_images_one_by_one(tmp_path):
    rng = np.random.default_rng(0)
    icons = rng.integers(0, 256, (6, 4, 4, 3), dtype=np.uint8)
    counts = [256, 128, 64, 32, 16, 16]
    which = np.repeat(np.arange(6), counts)
    images = icons[rng.permutation(which)]
    data = load_dataset(images, labels="optional", split=SplitOptions(test_fraction=0.3, val_fraction=0.2))
    hashes, numbers = np.unique(np.concatenate([split.hashes for split in data.splits.values()]), return_counts=True)
    probability = dict(zip(hashes.tolist(), (numbers / 512).tolist(), strict=True))
    entropy = -sum(p * np.log(p) for p in probability.values())
    for split in data.splits.values():
        nats = -np.mean([np.log(probability[int(h)]) for h in split.hashes])
        assert nats == pytest.approx(entropy, abs=0.25), "the true density scores alike on every split"
    assert [issue.kind for issue in data.audit.issues] == ["repeated"]
    assert "split one by one" in data.audit.issues[0].message
    together = load_dataset(images, labels="optional", split=SplitOptions(keep_duplicates_together=True))
    assert not np.intersect1d(together.train.hashes, together.test.hashes).size
    labelled = load_dataset((images, np.repeat([0, 1], 256)))
    assert labelled.audit.of("repeated") == ()


def test_leaks_of_splits_that_the_data_bring_are_named_for_generative_models_too(folder):
    root = folder({"train/a": 6, "test/a": 3})
    (root / "test/a/leak.jpg").write_bytes((root / "train/a/000.jpg").read_bytes())
    assert check_dataset(root, labels="optional").of("leakage")[0].paths == ("test/a/leak.jpg",)


# shapes, emptiness, pages


def bars(width, height):
    """A white image with a red left and a blue right end, and a green top row."""
    image = np.full((height, width, 3), 255, np.uint8)
    image[:, : max(width // 10, 1)], image[:, -max(width // 10, 1) :] = (255, 0, 0), (0, 0, 255)
    return image


@pytest.mark.parametrize(("width", "height"), [(64, 32), (2000, 3), (640, 100), (33, 11)])
@pytest.mark.parametrize("form", ["PNG", "JPEG"])
def test_fit(width, height, form):
    buffer = io.BytesIO()
    Image.fromarray(bars(width, height)).save(buffer, form)

    image = bars(width, height)

    def decoded(fit):
        side = [decode_file(buffer.getvalue(), resolution=32, channels=3, rule=DecodeRule(fit=fit))]
        side.append(from_pixels(image, resolution=32, channels=3, rule=DecodeRule(fit=fit)))
        assert (side[0].int() - side[1]).abs().max() < (1 if form == "PNG" else 90)
        return side[1].int()

    rows = max(1, round(height * 32 / width))
    middle = (32 - rows) // 2 + rows // 2
    crop, pad, stretch = decoded("crop"), decoded("pad"), decoded("stretch")
    assert (crop == 255).all(), "the ends are cut off"
    for whole in (pad, stretch):
        assert whole[:, middle, 0].tolist() == [255, 0, 0]
        assert whole[:, middle, -1].tolist() == [0, 0, 255]
    assert int((pad.sum(0) > 0).any(1).sum()) == rows
    assert int((stretch.sum(0) > 0).any(1).sum()) == 32


def test_the_fit_of_a_data_set_and_what_check_says_of_it(tmp_path):
    root = write(tmp_path / "set", [bars(40, 40), bars(40, 40), bars(2000, 3), bars(40, 30)] * 3)
    prints = set()
    for fit, words in (("crop", "cut at the centre"), ("pad", "filled up with black"), ("stretch", "stretched to")):
        data = load_dataset(root, decode=DecodeOptions(fit=fit, resolution=32))
        prints.add(data.fingerprint)
        assert words in data.audit.of("mixed_sizes")[0].message
        (extreme,) = data.audit.of("extreme_shapes")
        assert extreme.severity == "warning"
        assert extreme.paths == ("a/002.png", "a/006.png", "a/010.png")
        assert "0.15%" in extreme.message
        assert ("data.fit" in extreme.message) == (fit == "crop")
    assert len(prints) == 3
    with pytest.raises(InputError, match=r"^fit: 'squash' is not known; allowed: crop, pad, stretch"):
        DecodeOptions(fit="squash")


def test_the_limit_on_pixels_of_a_data_set(tmp_path):
    root = write(tmp_path / "set", [bars(40, 40)] * 8 + [bars(300, 300)])
    assert check_dataset(root).of("unreadable") == ()
    (issue,) = check_dataset(root, decode=DecodeOptions(max_pixels=50_000)).of("unreadable")
    assert issue.paths == ("a/008.png",)
    with pytest.raises(InputError, match=r"^max_pixels: must be at least 1"):
        DecodeOptions(max_pixels=0)


def test_a_photograph_of_a_hundred_megapixels_is_read(tmp_path):
    buffer = io.BytesIO()
    Image.new("RGB", (12_000, 9_000), (200, 30, 30)).save(buffer, "JPEG", quality=30)
    assert decode_file(buffer.getvalue(), resolution=32, channels=3)[0].float().mean() > 190


def test_blank_and_dark_images_are_named(tmp_path):
    rng = np.random.default_rng(0)
    good = list(rng.integers(0, 256, (10, 8, 8, 3), dtype=np.uint8))
    blank = [
        np.zeros((8, 8, 3), np.uint8),
        np.full((8, 8, 3), 255, np.uint8),
        np.full((8, 8, 3), (9, 70, 200), np.uint8),
    ]
    dark = rng.integers(0, 9, (8, 8, 3), dtype=np.uint8)
    audit = check_dataset(write(tmp_path / "set", [*good, *blank, dark]))
    assert audit.of("blank")[0].paths == ("a/010.png", "a/012.png", "b/011.png")
    assert audit.of("dark")[0].paths == ("b/013.png",)
    assert check_dataset("digits").issues == ()
    many = check_dataset(write(tmp_path / "night", list(rng.integers(0, 9, (10, 8, 8, 3), dtype=np.uint8))))
    assert "is their range 0 to 255?" in many.of("dark")[0].message


@pytest.mark.parametrize("form", ["TIFF", "GIF", "PNG", "WEBP"])
def test_pages_and_frames_are_noted(folder, form):
    root = folder({"a": 6, "b": 6})
    frames = [Image.new("RGB", (16, 16), colour) for colour in ("red", "blue", "lime")]
    frames[0].save(root / "a" / f"several.{form.lower()}", form, save_all=True, append_images=frames[1:])
    (note,) = check_dataset(root).of("several_pages")
    assert (note.severity, note.paths) == ("note", (f"a/several.{form.lower()}",))


# arrays

PIXELS = np.random.default_rng(0).integers(0, 256, (12, 5, 5, 3), dtype=np.uint8)


@pytest.mark.parametrize(
    "source",
    [(PIXELS, np.arange(12) % 2), (torch.from_numpy(PIXELS).permute(0, 3, 1, 2), torch.arange(12) % 2), (PIXELS, [0, 1] * 6),
     {"images": PIXELS, "labels": np.arange(12) % 2}, (PIXELS.tolist(), ["0", "1"] * 6)],
)  # fmt: skip
def test_images_and_labels_as_arrays(source):
    if isinstance(source[0] if isinstance(source, tuple) else None, list):
        source = (np.array(source[0], np.uint8), source[1])
    data = load_dataset(source)
    assert (data.classes, data.source_kind, data.name) == (("0", "1"), "arrays", "arrays")
    assert torch.equal(every(data), torch.from_numpy(PIXELS[[0, 1, 10, 11, *range(2, 10)]]).permute(0, 3, 1, 2))
    assert data.fingerprint == load_dataset((PIXELS, np.arange(12) % 2)).fingerprint


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ((PIXELS,), "must be \\(images, labels\\), got a tuple of 1"),
        ((PIXELS, np.arange(11)), "got 11 labels for 12 images"),
        ((PIXELS, None), "must hold images and labels"),
        (PIXELS, "must hold images and labels"),
        (([PIXELS[:, :4], PIXELS[0]], [0, 1]), "no array|Python objects"),
        ((PIXELS.astype(float), np.arange(12) % 2), "undo the normalisation"),
        ((PIXELS, np.zeros(12, int)), "one class only"),
        ({"x": PIXELS}, "must hold images and labels"),
    ],
)
def test_arrays_that_cannot_be_used(source, message):
    with pytest.raises(InputError, match=message):
        list_images(source)


@pytest.mark.parametrize("keys", [{"images": PIXELS}, {"x_train": PIXELS, "x_test": PIXELS[:3]}, {"arr_0": PIXELS}])
def test_generative_models_take_an_archive_without_labels(tmp_path, keys):
    np.savez(tmp_path / "set.npz", **keys)
    catalog = list_images(tmp_path / "set.npz", labels="optional")
    assert catalog.classes == ("set",)
    assert len(catalog.names) == sum(map(len, keys.values()))
    with pytest.raises(InputError, match="must hold images and labels"):
        list_images(tmp_path / "set.npz")


def test_classes_of_an_archive_that_are_called_alike(tmp_path):
    labels = np.arange(12) % 3
    np.savez(tmp_path / "a.npz", images=PIXELS, labels=labels, classes=np.array(["cat", "dog", "cat"]))
    with pytest.raises(InputError, match=r"classes names several labels alike: 'cat' \(0, 2\)"):
        list_images(tmp_path / "a.npz")
    np.savez(tmp_path / "b.npz", images=PIXELS, labels=np.array([b"\xe9", b"\xe8", b"x"] * 4))
    assert list_images(tmp_path / "b.npz").classes == (r"\xe8", r"\xe9", "x")
    np.savez(tmp_path / "c.npz", images=PIXELS, labels=np.array(["caf\u00e9", "cafe\u0301", "x"] * 4))
    assert list_images(tmp_path / "c.npz").classes == ("caf\u00e9", "x")


def test_class_names_of_any_length_and_letters(tmp_path):
    names = np.array(["9" * 5000, "\ud800", "a\x00b", "x"] * 3)
    np.savez(tmp_path / "set.npz", images=PIXELS, labels=names)
    assert len(list_images(tmp_path / "set.npz").classes) == 4


def npz_with_header(path, header, body=b"", compression=zipfile.ZIP_DEFLATED):
    text = header.encode() + b" " * (-(len(header) + 11) % 64) + b"\n"
    with zipfile.ZipFile(path, "w", compression) as file:
        file.writestr("images.npy", b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text)) + text + body)
        buffer = io.BytesIO()
        np.save(buffer, np.arange(4))
        file.writestr("labels.npy", buffer.getvalue())


@pytest.mark.parametrize(
    "header",
    [
        "{'descr': '|u1', 'fortran_order': False, 'shape': (1000000000000, 28, 28)}",
        "{'descr': '|u1', 'fortran_order': False, 'shape': (4, 2, 999999999999999999999)}",
        "{'descr': '|u1', 'fortran_order': False, 'shape': (-4, 2, 2)}",
        "{'descr': '|u1', 'fortran_order': False, 'shape': 'x'}",
        "{'descr': '|S999999999999', 'fortran_order': False, 'shape': (4,)}",
        "{'descr': '|O', 'fortran_order': False, 'shape': (4,)}",
        "{'descr': 'x', 'fortran_order': False, 'shape': (4,)}",
        "{'descr': [('a', '|u1')], 'fortran_order': False, 'shape': (4,)}",
        "__import__('os')",
        "(" * 3000,
        "",
    ],
)
def test_absurd_headers_of_an_archive_are_refused(tmp_path, header):
    npz_with_header(tmp_path / "set.npz", header, bytes(16))
    with pytest.raises(InputError, match=r"set\.npz"):
        list_images(tmp_path / "set.npz")


def test_an_archive_that_unpacks_to_more_than_the_memory_is_refused(tmp_path, monkeypatch):
    header = "{'descr': '|u1', 'fortran_order': False, 'shape': (4, 3000, 3000)}"
    npz_with_header(tmp_path / "set.npz", header, bytes(36_000_000))
    assert (tmp_path / "set.npz").stat().st_size < 50_000
    monkeypatch.setattr(archive, "_memory", lambda: 60_000_000)
    with pytest.raises(InputError, match=r"unpacks to 0\.0 GB, more than half of this machine's memory"):
        list_images(tmp_path / "set.npz", labels="optional")


def test_archives_with_flipped_bytes_never_raise_anything_else(tmp_path):
    path = tmp_path / "set.npz"
    np.savez_compressed(path, images=PIXELS, labels=np.arange(12) % 2)
    whole, rng = path.read_bytes(), np.random.default_rng(0)
    for _ in range(150):
        damaged = bytearray(whole)
        for at in rng.integers(0, len(whole), rng.integers(1, 4)):
            damaged[at] = rng.integers(0, 256)
        path.write_bytes(damaged[: rng.integers(len(whole) // 2, 2 * len(whole))])
        with contextlib.suppress(InputError):
            list_images(path)
