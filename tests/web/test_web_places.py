"""Nothing outside the given folders is read or written, whatever an address or a form says."""

import os

import pytest

from seewhy.core.errors import InputError
from seewhy.data import BUILTIN as DATA_BUILTIN
from seewhy.web.places import BUILTIN, STUDY, NotGivenError, Places, is_within


@pytest.fixture
def tree(tmp_path):
    """runs/a, runs/group/b and runs/study are to be seen; secret/ is not, though links lead there."""
    for name in ("runs/a", "runs/group/b", "runs/study/runs/x/0", "secret/run", "runs/.hidden", "runs/deep/1/2/3/4"):
        (tmp_path / name).mkdir(parents=True)
        (tmp_path / name / "spec.toml").write_text("format = 2\n")
    (tmp_path / "runs/study" / STUDY).write_text("")
    os.symlink(tmp_path / "secret", tmp_path / "runs" / "link")
    return tmp_path


def test_runs_and_studies_are_found_and_nothing_within_them(tree):
    found = [path.relative_to(tree).as_posix() for path in Places((tree / "runs",)).found()]
    assert found == ["runs/a", "runs/group/b", "runs/study"]
    assert list(Places((tree / "runs/a",)).found()) == [tree / "runs/a"]


def test_keys_lead_back(tree):
    places = Places((tree / "secret", tree / "runs"))
    for folder in (tree / "runs/a", tree / "runs/group/b", tree / "secret/run"):
        assert places.run(places.key(folder)) == folder
    assert places.key(tree / "runs/group/b") == "1/group/b"
    assert Places((tree / "runs/a",)).run("0") == tree / "runs/a"
    with pytest.raises(NotGivenError):
        Places((tree / "runs",)).key(tree / "secret/run")


@pytest.mark.parametrize(
    "key",
    [
        "0/../secret/run",
        "0/link/run",
        "0//etc",
        "0/a/../../secret/run",
        "1/a",
        "-1/a",
        "x/a",
        "",
        "0/a\0",
        "0/none",
        "0/" + "a" * 300,
        "0/" + "a/" * 3000,
        "1" * 5000,
        "²/a",
        "0",
    ],
)
def test_no_key_leads_out(tree, key):
    with pytest.raises(NotGivenError):
        Places((tree / "runs",)).run(key)


def test_an_absolute_way_is_none(tree):
    with pytest.raises(NotGivenError):
        Places((tree / "runs",)).run(f"0/{tree / 'secret/run'}")


@pytest.mark.parametrize("name", ["../x", "/tmp/x", "link/x", "", " ", ".", "a/../..", "x\0"])
def test_a_new_run_lies_below_the_first_folder(tree, name):
    with pytest.raises(NotGivenError, match="out: "):
        Places((tree / "runs",)).new_run(name)
    assert Places((tree / "runs",)).new_run("group/c") == tree / "runs/group/c"


def test_data_lie_in_a_given_folder(tree):
    places = Places((tree / "runs",), (tree / "runs",))
    assert places.source(str(tree / "runs/a")) == tree / "runs/a"
    for text in (str(tree / "secret"), str(tree / "runs/link"), "/etc", "~", f"{tree}/runs/../secret"):
        with pytest.raises(NotGivenError, match="source: "):
            places.source(text)
    for text in ("a\0", "a" * 300, "~nobody-of-this-name/x"):
        with pytest.raises(InputError, match="source: "):
            places.source(text)
    assert not is_within(tree / "runs-not", tree / "runs")


def test_built_in_names_are_those_of_the_data_room():
    assert set(BUILTIN) == set(DATA_BUILTIN)


@pytest.mark.parametrize("name", ["a" * 300, ".hidden", "group/.hidden/x", "1/2/3/4/5", "a/x", "study/x"])
def test_no_run_is_made_where_none_would_be_seen(tree, name):
    with pytest.raises(InputError, match=r"^out: "):
        Places((tree / "runs",)).new_run(name)


def test_a_run_is_made_where_it_is_seen(tree):
    places = Places((tree / "runs",))
    for name in ("new", "group/c", "new/1/2/3", "~name"):
        folder = places.new_run(name)
        folder.mkdir(parents=True)
        (folder / "spec.toml").write_text("format = 2\n")
        assert folder in list(places.found())
        (folder / "spec.toml").unlink()
