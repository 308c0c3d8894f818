from __future__ import annotations

import errno
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch

from seewhy.core.errors import RunError
from seewhy.data import cache_build, checksums
from seewhy.data.cache import cached, layout_of
from seewhy.data.codec import decode_file
from seewhy.data.dataset import ByteStore, PixelStore
from seewhy.data.decoding import DecodeOptions, decode
from seewhy.data.facts import ImageFacts, pixel_hash
from seewhy.data.fitting import DecodeRule
from seewhy.data.sources import list_images

SHAPE = (16, 16, 3)


def read(root, *, keep="pixels", home=None, progress=None, shape=SHAPE):
    opened = cached(list_images(root), shape, keep=keep, cache_dir=home, progress=progress)
    return opened.store, opened.facts


def entries(home: Path) -> list[str]:
    return sorted(path.name for path in home.iterdir() if path.is_dir())


def counting(monkeypatch) -> list[int]:
    """Count the images that are decoded from now on."""
    calls: list[int] = []
    plain = cache_build.decode_into
    monkeypatch.setattr(cache_build, "decode_into", lambda data, row, rule: calls.append(1) or plain(data, row, rule))
    return calls


@pytest.mark.parametrize("as_bytes", [False, True])
def test_the_cache_holds_what_the_files_hold(folder, as_bytes):
    root = folder({"a": 7, "b": 5})
    store, facts = read(root, keep="bytes" if as_bytes else "pixels")
    assert isinstance(store, ByteStore if as_bytes else PixelStore)
    images = store.images(torch.arange(12))
    assert images.is_contiguous(memory_format=torch.channels_last)
    catalog = list_images(root)
    for row, path in enumerate(catalog.paths):
        assert torch.equal(images[row], decode_file(root / path, resolution=16, channels=3))
    assert facts.sizes.tolist() == [[16, 16]] * 12
    assert not facts.grey.any()
    assert facts.unreadable == {}
    wide = images.to(torch.int64)
    assert facts.sums.tolist() == wide.sum((2, 3)).tolist()
    assert facts.squares.tolist() == (wide * wide).sum((2, 3)).tolist()


@pytest.mark.parametrize("as_bytes", [False, True])
def test_the_second_start_decodes_nothing(folder, monkeypatch, as_bytes):
    root = folder({"a": 7, "b": 5})
    calls = counting(monkeypatch)
    first, facts = read(root, keep="bytes" if as_bytes else "pixels")
    assert len(calls) == 12
    second, again = read(root, keep="bytes" if as_bytes else "pixels")
    assert len(calls) == 12
    rows = torch.arange(12)
    assert torch.equal(first.images(rows), second.images(rows))
    assert all(np.array_equal(getattr(facts, name), getattr(again, name)) for name in ("sizes", "hashes", "sums"))


def test_a_changed_file_makes_a_new_entry_and_the_outgrown_one_goes(folder, own_cache, encoded):
    root = folder({"a": 3, "b": 3})
    read(root)
    other = read(root, shape=(8, 8, 3))[0]
    before = entries(own_cache)
    assert len(before) == 2
    path = root / "a" / "001.jpg"
    path.write_bytes(encoded(99))
    store, _ = read(root)
    assert torch.equal(store.images(torch.tensor([1]))[0], decode_file(path, resolution=16, channels=3))
    after = entries(own_cache)
    assert len(after) == 2
    assert len(set(after) & set(before)) == 1, "the entry with other options stays"
    assert other.images(torch.tensor([0])).shape == (1, 3, 8, 8)


def test_a_touched_file_is_read_again_but_not_decoded(folder, monkeypatch):
    root = folder({"a": 3, "b": 3})
    read(root)
    calls = counting(monkeypatch)
    os.utime(root / "a" / "000.jpg", ns=(1, 1))
    read(root)
    assert not calls


def test_options_are_part_of_the_fingerprint(folder):
    roots = [folder({"a": 3, "b": 3}, name="one"), folder({"a": 3, "c": 3}, name="two")]
    names = {
        layout_of(list_images(root), shape, rule, keep=keep)
        for root in roots
        for shape in (SHAPE, (16, 16, 1), (8, 16, 3))
        for keep in ("pixels", "bytes")
        for rule in (DecodeRule(), DecodeRule(fit="pad"), DecodeRule(max_pixels=5), DecodeRule(peaks=(255.0, 1.0)))
    }
    assert len(names) == 48


def test_bad_files_are_remembered(folder, monkeypatch):
    root = folder({"a": 3, "b": 3})
    path = root / "b" / "001.jpg"
    path.write_bytes(path.read_bytes()[:150])
    for keep in ("pixels", "bytes"):
        _, facts = read(root, keep=keep)
        calls = counting(monkeypatch)
        store, again = read(root, keep=keep)
        assert not calls
        assert list(facts.unreadable) == [4]
        assert again.unreadable == facts.unreadable
        assert "truncated" in facts.unreadable[4]
        assert store.images(torch.tensor([0, 5])).shape == (2, 3, 16, 16)


def cut(data: bytes) -> bytes:
    return data[:-9]


def zeroed_half(data: bytes) -> bytes:
    return data[: len(data) // 2] + b"\0" * (len(data) - len(data) // 2)


def one_bit(data: bytes) -> bytes:
    return data[:-77] + bytes([data[-77] ^ 4]) + data[-76:]


@pytest.mark.parametrize("damage", [cut, zeroed_half, one_bit])
@pytest.mark.parametrize("name", ["pixels.u8", "bytes.bin", "facts.npz", "entry.json"])
def test_a_damaged_entry_is_built_again(folder, own_cache, monkeypatch, name, damage):
    root = folder({"a": 3, "b": 3})
    keep = "bytes" if name == "bytes.bin" else "pixels"
    store, _ = read(root, keep=keep)
    expected = store.images(torch.arange(6))
    file = own_cache / entries(own_cache)[0] / name
    file.write_bytes(damage(file.read_bytes()))
    calls = counting(monkeypatch)
    assert torch.equal(read(root, keep=keep)[0].images(torch.arange(6)), expected)
    assert len(calls) == 6


@pytest.mark.parametrize("as_bytes", [False, True])
def test_a_large_damaged_entry_is_found_while_it_is_used_and_built_again(folder, own_cache, monkeypatch, as_bytes):
    monkeypatch.setattr("seewhy.data.cache.AT_ONCE", 10)
    root = folder({"a": 3, "b": 3})
    expected = read(root, keep="bytes" if as_bytes else "pixels")[0].images(torch.arange(6))
    file = own_cache / entries(own_cache)[0] / ("bytes.bin" if as_bytes else "pixels.u8")
    file.write_bytes(one_bit(file.read_bytes()))
    store = read(root, keep="bytes" if as_bytes else "pixels")[0]
    store.check.thread.join()
    with pytest.raises(RunError, match=r"the cached images are damaged; start again"):
        store.images(torch.arange(2))
    again = read(root, keep="bytes" if as_bytes else "pixels")[0]
    assert torch.equal(again.images(torch.arange(6)), expected)


def test_every_flipped_bit_changes_a_checksum():
    data = np.random.default_rng(0).integers(0, 256, 300, dtype=np.uint8)
    bounds = [(0, 100), (100, 300)]
    kept = np.array([checksums.checksum(data[start:end].data) for start, end in bounds], np.uint32)
    assert checksums.damaged_chunk(data, bounds, kept) is None
    for bit in range(0, 2400, 7):
        data[bit // 8] ^= 1 << bit % 8
        assert checksums.damaged_chunk(data, bounds, kept) == int(bit // 8 >= 100)
        data[bit // 8] ^= 1 << bit % 8


def test_the_cache_may_be_read_only(folder, own_cache):
    root = folder({"a": 3, "b": 3})
    read(root)
    for path in (own_cache / entries(own_cache)[0]).iterdir():
        path.chmod(0o444)
    assert read(root)[0].images(torch.tensor([0])).shape == (1, 3, 16, 16)


def test_an_entry_without_any_byte(folder):
    root = folder({"a": 3, "b": 3})
    for path in root.rglob("*.jpg"):
        path.write_bytes(b"")
    for _ in range(2):
        _, facts = read(root, keep="bytes")
        assert len(facts.unreadable) == 6


def test_progress_counts_to_the_end(folder):
    calls = []
    read(folder({"a": 300, "b": 30}), progress=lambda done, total: calls.append((done, total)))
    assert calls == [(256, 330), (330, 330)]


@pytest.mark.parametrize("call", ["posix_fallocate", "pwrite", "fsync", "rename"])
def test_a_full_disk_is_an_error_that_names_the_file_and_leaves_nothing(folder, own_cache, monkeypatch, call):
    def full(*args):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, call, full)
    with pytest.raises(RunError, match=rf"cannot write {own_cache}/\w+: No space left on device"):
        read(folder({"a": 3, "b": 3}))
    assert entries(own_cache) == []


def test_an_unusable_cache_folder_is_an_error_that_names_it(folder, tmp_path):
    (tmp_path / "file").write_text("x")
    with pytest.raises(RunError, match=r"cannot write .*/file/cache"):
        read(folder({"a": 3, "b": 3}), home=tmp_path / "file" / "cache")


def test_a_system_that_writes_in_chunks(folder, monkeypatch):
    plain = os.pwrite
    monkeypatch.setattr(os, "pwrite", lambda handle, data, offset: plain(handle, data[:1000], offset))
    root = folder({"a": 3, "b": 3})
    store, _ = read(root)
    path = root / "b" / "002.jpg"
    assert torch.equal(store.images(torch.tensor([5]))[0], decode_file(path, resolution=16, channels=3))


def test_a_system_without_writes_by_position(folder, monkeypatch):
    monkeypatch.delattr(os, "pwrite")
    monkeypatch.delattr(os, "posix_fallocate")
    root = folder({"a": 200, "b": 100})
    store, _ = read(root)
    for row, path in ((0, root / "a" / "000.jpg"), (299, root / "b" / "099.jpg")):
        assert torch.equal(store.images(torch.tensor([row]))[0], decode_file(path, resolution=16, channels=3))


BUILDER = Path(__file__).with_name("cache_builder.py")


def builder(root: Path, pause: float) -> subprocess.Popen[str]:
    return subprocess.Popen([sys.executable, BUILDER, str(root), str(pause)], stdout=subprocess.PIPE, text=True)


def test_two_processes_build_one_cache(folder, own_cache):
    root = folder({"a": 40, "b": 40})
    both = [builder(root, 0.02) for _ in range(2)]
    lines = [process.communicate(timeout=120)[0].split() for process in both]
    assert [process.returncode for process in both] == [0, 0]
    decoded, sums = sorted(int(line[1]) for line in lines), {line[2] for line in lines}
    assert decoded == [0, 80], "one builds, the other waits and reuses"
    assert len(sums) == 1
    assert len(entries(own_cache)) == 1


def test_a_builder_that_is_killed_leaves_nothing_that_counts(folder, own_cache, monkeypatch):
    root = folder({"a": 40, "b": 40})
    process = builder(root, 0.5)
    deadline = time.monotonic() + 120
    while not list(own_cache.glob("*.tmp/pixels.u8")):
        assert time.monotonic() < deadline
        assert process.poll() is None
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    process.communicate(timeout=60)
    assert process.returncode == -signal.SIGKILL
    assert [name.endswith(".tmp") for name in entries(own_cache)] == [True]
    calls = counting(monkeypatch)
    store, _ = read(root)
    assert len(calls) == 80
    assert store.images(torch.arange(80)).float().mean() > 0
    assert [name.endswith(".tmp") for name in entries(own_cache)] == [False]


def test_arrays_stay_in_memory(own_cache):
    catalog = list_images("digits")
    decoded = decode(catalog)
    store, facts = decoded.store, decoded.facts
    assert store.pixels.data_ptr() == catalog.pixels.ctypes.data, "and are not copied"
    assert not own_cache.exists()
    assert facts.sums[:, 0].tolist() == catalog.pixels.astype(np.int64).sum((1, 2, 3)).tolist()
    larger = decode(catalog, DecodeOptions(resolution=16, channels=3)).store
    assert larger.images(torch.tensor([3])).shape == (1, 3, 16, 16)
    small, big = store.images(torch.tensor([3])).float(), larger.images(torch.tensor([3])).float()
    twin = torch.nn.functional.interpolate(small, 16, mode="bilinear", antialias=True)
    assert (big - twin).abs().max() < 2


def test_pixel_hashes_differ_where_pixels_do():
    block = np.random.default_rng(1).integers(0, 256, (1, 5, 5, 3), dtype=np.uint8)
    changed = np.repeat(block, 75 * 8, 0)
    for bit in range(75 * 8):
        changed[bit].ravel()[bit // 8] ^= 1 << bit % 8
    hashes = pixel_hash(np.concatenate([block, changed, block]))
    assert hashes[0] == hashes[-1]
    assert len(set(hashes.tolist())) == 75 * 8 + 1


def test_sums_are_exact_for_white_images_of_any_size():
    facts = ImageFacts.empty(1, 3)
    facts.measure(slice(0, 1), np.full((1, 700, 500, 3), 255, np.uint8))
    assert facts.sums.tolist() == [[700 * 500 * 255] * 3]
    assert facts.squares.tolist() == [[700 * 500 * 255**2] * 3]


def test_an_entry_says_what_it_was_made_from(folder, own_cache):
    root = folder({"a": 3, "b": 3})
    read(root)
    record = json.loads((own_cache / entries(own_cache)[0] / "entry.json").read_text())
    assert record.pop("checksum") == cache_build.checksum_of(record)
    assert len(record.pop("facts")) == 32
    rule = {"fit": "crop", "max_pixels": 1 << 28, "peaks": None}
    assert record == {"source": str(root.resolve()), "shape": [16, 16, 3], "keep": "pixels", "bad": {}, **rule}
