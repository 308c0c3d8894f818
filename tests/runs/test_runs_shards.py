"""Runs on tar shards that are read where they lie: exact resume, the same bits as from the cache, and evaluation of others."""

import io
import json
import tarfile

import pytest

from run_cases import assert_same_bits, stop_after
from seewhy import api
from seewhy.core.errors import InputError, RunError

OPTIONS = {"model": "mlp", "model.width": 16, "epochs": 2.0, "batch_size": 20, "train.threads": 1, "watch": False}


@pytest.fixture(scope="module")
def shards(shapes, tmp_path_factory):
    """The shapes as three shards, labels as text."""
    home = tmp_path_factory.mktemp("shards")
    files = sorted(shapes.rglob("*.png"))
    for number in range(3):
        with tarfile.open(home / f"shapes-{number}.tar", "w") as tar:
            for path in files[number::3]:
                for ending, data in (("png", path.read_bytes()), ("txt", path.parent.name.encode())):
                    entry = tarfile.TarInfo(f"{path.parent.name}-{path.stem}.{ending}")
                    entry.size = len(data)
                    tar.addfile(entry, io.BytesIO(data))
    return home


def test_a_stopped_run_without_a_cache_goes_on_to_the_bits_of_a_cached_one(shards, tmp_path):
    whole = api.train(shards, out=tmp_path / "whole", **OPTIONS)
    with pytest.raises(RunError, match="stopped at step 4 of"):
        api.train(shards, out=tmp_path / "parts", stop=stop_after(4), **OPTIONS, **{"data.cache": "none"})
    api.resume(tmp_path / "parts", watch=False)
    assert_same_bits(tmp_path / "parts", tmp_path / "whole")
    assert whole.classes == ("cross", "square", "stripes")


def test_a_run_names_the_fields_of_its_shards(shapes, tmp_path):
    with tarfile.open(tmp_path / "named.tar", "w") as tar:
        for number, path in enumerate(sorted(shapes.rglob("*.png"))):
            said = json.dumps(
                {"shape": path.parent.name, "use": "val" if number % 5 else "train", "other": number}
            ).encode()
            for ending, data in (("png", path.read_bytes()), ("json", said)):
                entry = tarfile.TarInfo(f"{number}.{ending}")
                entry.size = len(data)
                tar.addfile(entry, io.BytesIO(data))
    named = {"data.label_column": "shape", "data.split_column": "use"}
    run = api.train(tmp_path / "named.tar", out=tmp_path / "run", **{**OPTIONS, "epochs": 1.0}, **named)
    assert run.classes == ("cross", "square", "stripes")
    assert run.results["val"]["n"] == sum(1 for number in range(len(list(shapes.rglob("*.png")))) if number % 5)


def test_a_pattern_of_shards_is_a_source_like_any_other(shards, shapes, tmp_path, monkeypatch):
    monkeypatch.chdir(shards)
    run = api.train("shapes-{0..1}.tar", out=tmp_path / "run", **OPTIONS)
    assert run.spec.source == str(shards / "shapes-{0..1}.tar")
    assert run.evaluate(shards / "shapes-2.tar").n == 40
    with tarfile.open(shards / "shapes-1.tar") as tar:
        first = next(entry.offset_data for entry in tar if entry.name.endswith("png"))
    held = bytearray((shards / "shapes-1.tar").read_bytes())
    held[first] = 0
    (shards / "shapes-1.tar").write_bytes(held)
    with pytest.raises(InputError, match="the images have changed"):
        api.resume(tmp_path / "run", epochs=3.0, watch=False)
