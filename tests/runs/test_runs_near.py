"""Near duplicates of a run's images: in its report, looked for once, and not where that would take long."""

import json

import numpy as np
import pytest
from PIL import Image, ImageOps

from seewhy import api
from seewhy.core.errors import InputError
from seewhy.data import kept_near_duplicates, load_dataset, near_copies, near_duplicates, near_kept
from seewhy.data.decoding import DecodeOptions

OPTIONS = {"model": "mlp", "model.width": 8, "epochs": 1.0, "train.threads": 1, "watch": False}
ODD = "<b>&.png"


@pytest.fixture(scope="module")
def album(tmp_path_factory):
    """Two classes of 14 smooth images of 48 pixels, and a mirrored copy under an odd name."""
    home, random = tmp_path_factory.mktemp("album"), np.random.default_rng(0)
    for name in ("day", "night"):
        (home / name).mkdir()
        for number in range(14):
            coarse = Image.fromarray(random.integers(0, 256, (6, 6, 3), dtype=np.uint8))
            coarse.resize((48, 48), Image.Resampling.BICUBIC).save(home / name / f"{number:02}.png")
    ImageOps.mirror(Image.open(home / "day" / "03.png")).save(home / "day" / ODD)
    return home


def test_pairs_and_what_is_wrong_about_them_stand_in_the_report(album, tmp_path):
    run = api.train(album, out=tmp_path / "run", **OPTIONS)
    held = json.loads((run.folder / "near" / "pairs.json").read_text())
    assert held["found"] == 1
    assert sorted(held["pairs"][0]["names"]) == ["day/03.png", f"day/{ODD}"]
    sheet = np.asarray(Image.open(run.folder / "near" / "pairs.png"))
    assert sheet.shape == (96, 48, 3)
    np.testing.assert_array_equal(sheet[:48], sheet[48:, ::-1])
    page = (run.folder / "report.html").read_text()
    assert "Near duplicates" in page
    assert "1 pair of nearly the same images" in page
    assert ODD not in page
    assert "day/&lt;b&gt;&amp;.png" in page
    (run.folder / "near" / "pairs.png").write_bytes(b"x")
    with pytest.raises(InputError, match=r"pairs.png: is damaged .*restore it, or remove the folder near"):
        run.report()


def test_a_run_without_pairs_says_why_or_nothing(shapes, tmp_path):
    run = api.train(shapes, out=tmp_path / "run", **OPTIONS)
    assert not (run.folder / "near" / "pairs.png").exists()
    page = (run.folder / "report.html").read_text()
    assert "Near duplicates" not in page
    assert "near duplicates were not looked for: in 16 x 16 pixels" in page


def test_they_are_looked_for_once_whatever_the_splits_are(album, monkeypatch, tmp_path):
    from seewhy.data import SplitOptions

    first = kept_near_duplicates(load_dataset(album), tmp_path)
    looked = []
    monkeypatch.setattr(near_kept, "like_rows", lambda data: looked.append(1) or near_copies.like_rows(data))
    for seed in range(8):
        data = load_dataset(album, split=SplitOptions(seed=seed, val_fraction=0.4))
        assert kept_near_duplicates(data, tmp_path) == near_duplicates(data)
    assert not looked
    (path,) = tmp_path.glob("near-*.json")
    path.write_text("{")
    assert kept_near_duplicates(load_dataset(album), tmp_path) == first
    assert looked == [1]


def test_they_are_not_looked_for_where_that_would_take_long(album, monkeypatch, tmp_path):
    data = load_dataset(album, decode=DecodeOptions(cache="none"))
    assert "decoded for each batch; `seewhy check` looks for them" in kept_near_duplicates(data, tmp_path).skipped
    monkeypatch.setattr(near_kept, "MOST", 20)
    assert "29 images are many; `seewhy check`" in kept_near_duplicates(load_dataset(album), tmp_path).skipped
