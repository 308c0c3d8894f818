"""Tar shards: what makes a sample, where its label, split and group come from, and what is wrong said with its place."""

from __future__ import annotations

import gzip
import io
import json
import os
import subprocess
import sys
import tarfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
import pytest
import torch

from seewhy.core.errors import InputError, RunError
from seewhy.data import DecodeOptions, SplitOptions, TableOptions, batches, list_images, load_dataset
from seewhy.data.sources import braces
from seewhy.data.split_rules import TEST, TRAIN, UNDECIDED, VAL

Members = Sequence[tuple[str, bytes]]
WHOLE = SplitOptions(val_fraction=0, test_fraction=0)


def tar(path: Path, members: Members) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, "w") as file:
        for name, data in members:
            entry = tarfile.TarInfo(name)
            entry.size = len(data)
            file.addfile(entry, io.BytesIO(data))
    return path


@pytest.fixture
def samples(encoded) -> Callable[..., list[tuple[str, bytes]]]:
    """Members of n samples, classes 0, 1, 2, 0, ...; every image differs."""

    def make(n: int = 6, first: int = 0, label: str = "cls", form: str = "JPEG") -> list[tuple[str, bytes]]:
        endings = {"JPEG": "jpg", "PNG": "png", "WEBP": "webp"}
        return [
            member
            for i in range(first, first + n)
            for member in ((f"a/{i:04}.{endings[form]}", encoded(i, form)), (f"a/{i:04}.{label}", str(i % 3).encode()))
        ]

    return make


def headers(shard: Path) -> dict[str, str]:
    """Where the header of each member begins, as messages write it; "end" for what follows the last."""
    with tarfile.open(shard) as file:
        found = {entry.name: f"{entry.offset:,}" for entry in file}
        return {**found, "end": f"{file.offset:,}"}


def said(catalog) -> dict[str, str]:
    return {name: catalog.classes[k] for name, k in zip(catalog.names, catalog.labels.tolist(), strict=True)}


def pixels(data) -> torch.Tensor:
    return data.train.images(torch.arange(len(data.train)))


@pytest.mark.parametrize("form", ["JPEG", "PNG", "WEBP"])
@pytest.mark.parametrize("keep", ["pixels", "bytes", "none"])
def test_images_of_shards_are_those_of_files(samples, tmp_path, form, keep):
    members = samples(form=form)
    tar(tmp_path / "set" / "x-0.tar", members[:8])
    tar(tmp_path / "set" / "x-1.tar", members[8:])
    for (name, data), (_, number) in zip(members[::2], members[1::2], strict=True):
        path = tmp_path / "files" / number.decode() / os.path.basename(name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    options = DecodeOptions(cache=keep)
    data = load_dataset(tmp_path / "set", decode=options, split=WHOLE)
    files = load_dataset(tmp_path / "files", split=WHOLE)
    assert data.classes == files.classes == ("0", "1", "2")
    by_name = {os.path.basename(name): k for k, name in enumerate(files.train.names)}
    order = torch.tensor([by_name[os.path.basename(name)] for name in data.train.names])
    assert torch.equal(pixels(data), files.train.images(order))
    assert torch.equal(data.train.labels, files.train.labels[order])
    assert data.mean == pytest.approx(files.mean)
    assert data.source_kind == "shards"


@pytest.mark.parametrize("pattern", ["{0..2}", "{0,1,2}"])
def test_a_pattern_names_shards_and_a_tar_is_one(samples, tmp_path, pattern):
    for number in range(3):
        tar(tmp_path / f"x-{number}.tar", samples(3, 3 * number))
    assert len(list_images(tmp_path / f"x-{pattern}.tar").names) == 9
    assert list_images(str(tmp_path / "x-1.tar")).names == [
        "x-1.tar/a/0003.jpg",
        "x-1.tar/a/0004.jpg",
        "x-1.tar/a/0005.jpg",
    ]
    assert list_images(tmp_path / f"x-{pattern}.tar").name == "x"


def test_braces_are_ranges_and_words():
    assert braces.expanded("s-{008..011}.tar") == ["s-008.tar", "s-009.tar", "s-010.tar", "s-011.tar"]
    assert braces.expanded("{a,b}-{0..1}.tar") == ["a-0.tar", "a-1.tar", "b-0.tar", "b-1.tar"]
    assert not braces.is_pattern("s-{0}.tar")
    with pytest.raises(InputError, match=r"\{9\.\.0\} in .* runs backwards; write \{0\.\.9\}"):
        braces.expanded("s-{9..0}.tar")
    with pytest.raises(InputError, match=r"means more than 100,000 shards"):
        braces.expanded("s-{0..999}{0..999}.tar")


def test_members_of_a_sample_may_stand_anywhere_in_their_shard(samples, tmp_path):
    members = samples()
    mixed = [members[i] for i in np.random.default_rng(0).permutation(len(members))]
    expected = said(list_images(tar(tmp_path / "x.tar", members)))
    assert said(list_images(tar(tmp_path / "x.tar", mixed))) == expected


def test_numbers_get_the_names_beside_the_shards(samples, tmp_path):
    shard = tar(tmp_path / "x.tar", samples())
    (tmp_path / "classes.txt").write_text("cat\ndög\n\nnewt\nemu\n", encoding="utf-8")
    assert list(said(list_images(shard)).values()) == ["cat", "dög", "newt"] * 2
    data = load_dataset(shard, split=WHOLE)
    assert data.classes == ("cat", "dög", "newt")
    assert [issue.paths for issue in data.audit.issues if issue.kind == "empty_class"] == [("emu",)]


def described(encoded, rows: Sequence[Mapping[str, object]], more: Members = ()) -> Members:
    return [
        *(
            member
            for i, row in enumerate(rows)
            for member in ((f"{i}.jpg", encoded(i)), (f"{i}.json", json.dumps(row).encode()))
        ),
        *more,
    ]


ROWS = [
    {"label": "cat" if i % 2 else 7, "patient": f"p{i // 2}", "split": ["train", "val", "test"][i // 2]}
    for i in range(6)
]


def test_labels_splits_and_groups_are_fields_of_json(encoded, tmp_path):
    shard = tar(tmp_path / "x.tar", described(encoded, ROWS))
    catalog = list_images(shard, table=TableOptions(group="patient"))
    assert list(said(catalog).values()) == ["7", "cat"] * 3
    assert catalog.splits.tolist() == [TRAIN, TRAIN, VAL, VAL, TEST, TEST]
    assert list(catalog.groups) == ["p0", "p0", "p1", "p1", "p2", "p2"]
    named = list_images(shard, table=TableOptions(label_column="patient"))
    assert named.classes == ("p0", "p1", "p2")
    without = list_images(shard, table=TableOptions(split_column="none"))
    assert set(without.splits.tolist()) == {UNDECIDED}
    assert "no split from column 'split', as was asked" in without.issues[-1].message
    assert list_images(shard, table=TableOptions(group=r"/(\d)")).groups == list("012345")


def test_text_is_a_label_where_nothing_else_is(samples, encoded, tmp_path):
    assert list_images(tar(tmp_path / "x.tar", samples(label="txt"))).classes == ("0", "1", "2")
    with pytest.raises(
        InputError, match=r"x.tar holds no labels: .* \(.json has a, b: name one by data.label_column\)"
    ):
        list_images(tar(tmp_path / "x.tar", described(encoded, [{"a": "x", "b": "y"}] * 2)))
    unlabelled = list_images(tar(tmp_path / "x.tar", samples()[::2]), labels="optional")
    assert (len(unlabelled.names), unlabelled.classes) == (6, ("x",))


@pytest.mark.parametrize(
    ("names", "splits"),
    [
        (("set-train-000.tar", "set-val-000.tar", "test.tar"), [TRAIN, VAL, TEST]),
        (("train/0.tar", "validation/0.tar"), [TRAIN, VAL]),
        (("a-test-0.tar", "b-test-0.tar"), [UNDECIDED, UNDECIDED]),
        (("a.tar", "b.tar"), [UNDECIDED, UNDECIDED]),
    ],
)
def test_shards_say_their_splits(samples, tmp_path, names, splits):
    for number, name in enumerate(names):
        tar(tmp_path / name, samples(3, 3 * number))
    catalog = list_images(tmp_path)
    order = sorted(range(len(names)), key=names.__getitem__)
    assert catalog.splits.tolist() == [splits[k] for k in order for _ in range(3)]


def test_tars_beside_images_are_no_shards(folder, samples):
    root = folder({"cat": 2, "dog": 2})
    tar(root / "backup.tar", samples())
    assert list_images(root).kind == "folder"


def test_samples_that_lack_something_are_left_out_and_told(samples, encoded, tmp_path):
    members = samples(6)
    shard = tar(tmp_path / "x.tar", [*members[:9], ("lost.cls", b"1"), *members[10:]])
    catalog, at = list_images(shard), headers(shard)
    assert len(catalog.names) == 5
    told = {issue.kind: issue for issue in catalog.issues}
    assert told["missing_files"].paths == (f"x.tar/lost (byte {at['lost.cls']})",)
    assert told["unlabelled"].paths == (f"x.tar/a/0004 (byte {at['a/0004.jpg']})",)
    with pytest.raises(InputError, match=r"strict: 1 sample without an image, left out: x.tar/lost"):
        load_dataset(shard, strict=True)


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ([("a/0001.jpg", b"x")], r"x.tar holds 'a/0001.jpg' twice, at byte {a/0001.jpg} and at byte {end}"),
        (
            [("b.jpg", b"x"), ("b.cls", b"dog")],
            r"x.tar/b.cls \(byte {b.cls}\) must be the number of a class, .* got 'dog'",
        ),
        ([("b.jpg", b"x"), ("b.cls", b"-1")], r"x.tar/b.cls .* got '-1'"),
        ([("b.jpg", b"x"), ("b.cls", b"3")], r"x.tar/b.cls \(byte {b.cls}\) is the class 3, but 3 are named, 0 to 2"),
        ([("b.jpg", b"x"), ("b.cls", b"\xff")], r"b.cls of x.tar/b \(byte {b.cls}\) is no text in UTF-8"),
        (
            [("b.jpg", b"x"), ("b.cls", b"1" * (1 << 20) + b"1")],
            r"b.cls of x.tar/b .* is too large for a label: 1,048,577",
        ),
        (
            [("b.jpg", b"x"), ("b.png", b"x"), ("b.cls", b"1")],
            r"image_column: x.tar/b has several images \(.jpg, .png\)",
        ),
    ],
)
def test_what_is_wrong_in_a_shard_is_said_with_its_place(samples, tmp_path, more, message):
    (tmp_path / "classes.txt").write_text("a\nb\nc\n")
    shard = tar(tmp_path / "x.tar", [*samples(), *more])
    at = {**headers(tar(tmp_path / "y.tar", samples())), **headers(shard), "end": headers(tmp_path / "y.tar")["end"]}
    at["a/0001.jpg"] = headers(tmp_path / "y.tar")["a/0001.jpg"]
    (tmp_path / "y.tar").unlink()
    for name, place in at.items():
        message = message.replace(f"{{{name}}}", place)
    with pytest.raises(InputError, match=message):
        list_images(shard)


def test_the_ending_of_the_image_can_be_named(samples, encoded, tmp_path):
    members = [*samples(), *((f"a/{i:04}.seg.png", encoded(50 + i, "PNG")) for i in range(6))]
    shard = tar(tmp_path / "x.tar", members)
    with pytest.raises(InputError, match=r"several images \(.jpg, .seg.png\)"):
        list_images(shard)
    catalog = list_images(shard, table=TableOptions(image_column="seg.png"))
    assert catalog.read(0) == members[12][1]


DAMAGE: dict[str, tuple[Callable[[bytes, int], bytes], str]] = {
    "cut in an image": (
        lambda data, at: data[: at + 600],
        r"{at}: a/0001.jpg goes on beyond the end of the file; fetch",
    ),
    "cut between members": (lambda data, at: data[:at], r"{at}: it ends after {at} bytes without the mark of its end"),
    "cut in a header": (lambda data, at: data[: at + 100], r"{at}: it ends after .* bytes without the mark"),
    "a broken header": (
        lambda data, at: data[:at] + b"\xff" * 512 + data[at + 512 :],
        r"{at}: there is no header where",
    ),
    "no tar": (lambda data, at: b"hello" * 1000, r"0: "),
    "joined": (lambda data, at: data + data, r"{end}: it goes on behind its end"),
}


@pytest.mark.parametrize("how", DAMAGE)
def test_a_damaged_shard_is_named_with_its_place(samples, tmp_path, how):
    shard = tar(tmp_path / "x.tar", samples())
    at, (change, message) = headers(shard), DAMAGE[how]
    shard.write_bytes(change(shard.read_bytes(), int(at["a/0001.jpg"].replace(",", ""))))
    with pytest.raises(
        InputError, match="x.tar is damaged at byte " + message.format(at=at["a/0001.jpg"], end=at["end"])
    ):
        list_images(shard)


def test_a_compressed_shard_is_refused(samples, tmp_path):
    shard = tar(tmp_path / "x.tar", samples())
    shard.write_bytes(gzip.compress(shard.read_bytes()))
    with pytest.raises(InputError, match=r"x.tar is compressed \(gzip\).* unpack it to a plain .tar"):
        list_images(shard)


@pytest.mark.parametrize("size", [1 << 40, -512])
def test_sizes_that_a_header_makes_up_are_refused(samples, tmp_path, size):
    entry = tarfile.TarInfo("a.jpg")
    entry.size = size
    header = entry.tobuf(tarfile.GNU_FORMAT)
    shard = tmp_path / "x.tar"
    shard.write_bytes(header + b"\0" * 4096)
    with pytest.raises(InputError, match=r"x.tar is damaged at byte"):
        list_images(shard)


def test_a_header_that_would_fill_the_memory_is_refused(tmp_path):
    entry = tarfile.TarInfo("././@LongLink")
    entry.type, entry.size = tarfile.GNUTYPE_LONGNAME, 2 << 20
    (tmp_path / "x.tar").write_bytes(entry.tobuf(tarfile.GNU_FORMAT) + b"a" * (2 << 20) + b"\0" * 1024)
    with pytest.raises(InputError, match=r"x.tar is damaged at byte 0: a header of 2,097,152 bytes"):
        list_images(tmp_path / "x.tar")


def test_nothing_is_extracted_and_links_are_left_alone(samples, encoded, tmp_path):
    home = tmp_path / "set"
    members = [("../../out.jpg", encoded(1)), ("../../out.cls", b"1"), ("/etc/x.jpg", encoded(2)), ("/etc/x.cls", b"0")]
    shard = tar(home / "x.tar", members)
    with tarfile.open(shard, "a") as file:
        for kind in (tarfile.SYMTYPE, tarfile.LNKTYPE):
            entry = tarfile.TarInfo(f"{kind.decode()}.jpg")
            entry.type, entry.linkname = kind, "/etc/passwd"
            file.addfile(entry)
    before = sorted(path for path in tmp_path.rglob("*") if "cache" not in path.parts)
    data = load_dataset(home, split=WHOLE)
    assert sorted(path for path in tmp_path.rglob("*") if "cache" not in path.parts) == before
    assert len(data.train) == 2
    assert [issue.paths for issue in data.audit.issues if issue.kind == "special_files"] == [
        ("x.tar/1.jpg", "x.tar/2.jpg")
    ]


def test_a_damaged_image_in_a_shard_is_named(samples, encoded, tmp_path):
    data = load_dataset(
        tar(tmp_path / "x.tar", [*samples(), ("b.jpg", encoded(9)[:300]), ("b.cls", b"1")]), split=WHOLE
    )
    (issue,) = (issue for issue in data.audit.issues if issue.kind == "unreadable")
    assert "x.tar/b.jpg (is truncated" in issue.message


def test_missing_shards_and_tables_that_do_not_belong_are_told(samples, tmp_path):
    tar(tmp_path / "x-0.tar", samples())
    with pytest.raises(InputError, match=r"2 shards of 3 that .*x-\{0..2\}.tar names are not there: .*x-1.tar"):
        list_images(tmp_path / "x-{0..2}.tar")
    with pytest.raises(InputError, match=r"labels: goes with a folder of images, but .*x-0.tar has labels of its own"):
        list_images(tmp_path / "x-0.tar", table=TableOptions(labels="labels.csv"))
    with pytest.raises(InputError, match=r"label_column: 'kind' is not known"):
        list_images(tmp_path / "x-0.tar", table=TableOptions(label_column="kind"))
    with pytest.raises(InputError, match=r"holds no image that can be used: 1 sample without an image"):
        list_images(tar(tmp_path / "y.tar", [("a.cls", b"1")]))


def test_batches_of_shards_go_on_where_they_stopped(samples, tmp_path):
    shard = tar(tmp_path / "x.tar", samples(12))
    data = load_dataset(shard, decode=DecodeOptions(cache="none"), split=WHOLE)
    kept = load_dataset(shard, split=WHOLE)
    options = {"batch_size": 4, "seed": 3, "epoch": 1}
    whole = list(batches(data.train, **options))
    for batch, other in zip(whole, batches(kept.train, **options), strict=True):
        assert torch.equal(batch.images, other.images)
    (last,) = batches(data.train, start=2, **options)
    assert torch.equal(last.images, whole[2].images)


def test_without_a_cache_a_changed_shard_is_an_error_that_names_the_image(samples, tmp_path):
    shard = tar(tmp_path / "x.tar", samples())
    options = {"decode": DecodeOptions(cache="none"), "split": WHOLE}
    data = load_dataset(shard, **options)
    assert pixels(data).shape[0] == 6
    content = shard.read_bytes()
    shard.write_bytes(content[: content.index(b"\xff\xd9")] + b"\xff\xd8" + content[content.index(b"\xff\xd9") + 2 :])
    with pytest.raises(RunError, match=r"x.tar/a/0000.jpg is not what it was when the run began"):
        pixels(data)
    shard.write_bytes(content[:4000])
    with pytest.raises(RunError, match=r"x.tar/a/.*cannot be read: x.tar ends before it does"):
        pixels(data)
    shard.write_bytes(content)
    assert load_dataset(shard, **options).fingerprint == data.fingerprint


def test_a_cache_that_does_not_fit_is_refused_before_the_work(samples, tmp_path, monkeypatch):
    shard = tar(tmp_path / "x.tar", samples())
    free = type("Usage", (), {"free": 1000})
    monkeypatch.setattr("seewhy.data.cache.shutil.disk_usage", lambda path: free)
    with pytest.raises(RunError, match=r"needs 4,608 bytes .* 1,000 are free; .*data.cache none"):
        load_dataset(shard)
    assert len(load_dataset(shard, decode=DecodeOptions(cache="none"), split=WHOLE).train) == 6


MEMORY = """
import resource, sys
import torch
from seewhy.data import DecodeOptions, SplitOptions, batches, load_dataset
torch.set_num_threads(1)
options = DecodeOptions(cache="none", resolution=256)
data = load_dataset(sys.argv[1], decode=options, split=SplitOptions(val_fraction=0, test_fraction=0))
peaks = [resource.getrusage(resource.RUSAGE_SELF).ru_maxrss]
for epoch in range(2):
    for batch in batches(data.train, batch_size=16, seed=0, epoch=epoch):
        pass
    peaks.append(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
print(len(data.train), *peaks)
"""


def test_without_a_cache_memory_holds_no_data_set(encoded, tmp_path):
    """Of 63 MB of pixels."""
    members = [
        member
        for i in range(320)
        for member in ((f"{i:03}.jpg", encoded(i, size=(256, 256))), (f"{i:03}.cls", b"%d" % (i % 2)))
    ]
    shard = tar(tmp_path / "x.tar", members)
    load_dataset(shard, decode=DecodeOptions(cache="none", resolution=256))  # what is known of the images is kept
    done = subprocess.run([sys.executable, "-c", MEMORY, str(shard)], capture_output=True, text=True, check=True)
    count, loaded, _, last = map(int, done.stdout.split())
    assert count == 320
    assert last - loaded < 30_000  # KiB
