"""`seewhy compare` as a person meets it: what is refused and when, the plan, what is printed, how it ends."""

import json
import signal
import subprocess
import sys
import time

import pytest

from seewhy.cli.commands.compare import parse_minutes
from seewhy.cli.main import run as command
from seewhy.core.errors import InputError

SMALL = ["digits", "--model", "mlp", "--width", "8", "--depth", "1", "--epochs", "0.2", "--precision", "fp32"]
VARY = ["--vary", "activation=tanh,elu"]


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    """A study of two activations at two seeds, without tuning."""
    place = tmp_path_factory.mktemp("study")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(place)
        assert (
            command(["compare", *SMALL, *VARY, "--seeds", "2", "--tune", "none", "--jobs", "2", "--out", "study"]) == 0
        )
    return place / "study"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["digits"], "nothing to compare"),
        ([*SMALL, "--vary", "activatoin=relu,elu"], "did you mean"),
        ([*SMALL, "--vary", "activation=relu,ellu"], "ellu"),
        ([*SMALL, "--vary", "activation"], "--vary: must be a field"),
        ([*SMALL, *VARY, *VARY], "activation is given twice"),
        ([*SMALL, "--variant", "model.width = 3"], "--variant: must be a name"),
        ([*SMALL, "--variant", "x: model.widht = 3"], "variant 'x'"),
        ([*SMALL, *VARY, "--seeds", "0"], "seeds: must be at least 1"),
        ([*SMALL, *VARY, "--jobs", "0"], "jobs: must be at least 1"),
        ([*SMALL, *VARY, "--reference", "rellu"], "reference: 'rellu' is not known"),
        ([*SMALL, *VARY, "--budget", "soon"], "--budget: must be a time"),
        ([*SMALL, *VARY, "--budget", "20m"], "budget: is for the whole study"),
        ([*SMALL, *VARY, "--address", "host:1"], "--address: is of a cluster"),
        ([*SMALL, *VARY, "--export", "x.xls"], "--export: must end in"),
        ([*SMALL, *VARY, "--extractor", "x"], "extractor: is for figures of sample quality"),
        (["--resume", "s", "--work", "s"], "--resume, --work: both are given"),
        (["--resume", "s", "--tune", "lr", "--epochs", "3"], "leave out --tune, --train.epochs"),
        (["--work", "s", *VARY, "--seeds", "3"], "leave out --vary, --seeds"),
    ],
)
def test_what_is_wrong_is_named(options, message, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert command(["compare", *options]) == 2
    assert message in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_what_a_parquet_file_needs_is_told_before_the_runs(capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("seewhy.cli.commands.compare.find_spec", lambda name: None)
    assert command(["compare", *SMALL, *VARY, "--export", "x.parquet"]) == 2
    assert "needs pandas and pyarrow: pip install 'seewhy[frames]'" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_what_is_wrong_is_named_before_torch_is_imported():
    program = (
        "import sys; from seewhy.cli.main import run\n"
        "code = run(sys.argv[1:]); assert code == 2, code; assert 'torch' not in sys.modules"
    )
    for options in (
        ["--vary", "activation=relu,ellu"],
        [*VARY, "--seeds", "0"],
        [*VARY, "--reference", "x"],
        [*VARY, "--jobs", "0"],
    ):
        done = subprocess.run(
            [sys.executable, "-c", program, "compare", *SMALL, *options], capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr


def test_budgets_are_read():
    assert [parse_minutes(text) for text in ("20m", "1.5h", "90s", " 7 ", "0.5m")] == [20, 90, 1.5, 7, 0.5]
    for text in ("", "m", "-3m", "1d", "inf", "1e3s"):
        with pytest.raises(InputError, match="--budget: must be a time"):
            parse_minutes(text)


def test_a_dry_run_shows_the_plan_and_writes_nothing(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    arguments = [
        *SMALL,
        *VARY,
        "--variant",
        "wide: model.width = 16, lr = 0.1",
        "--halving",
        "--seeds",
        "3",
        "--jobs",
        "2",
        "--dry-run",
    ]
    assert command(["compare", *arguments]) == 0
    said = capsys.readouterr().err
    for line in (
        "variants  4: base; tanh; elu; wide",
        "seeds  3: 0 to 2 (no verdict below 5, only intervals)",
        "metric  accuracy of the test images, paired by seed, each against 'base'",
        "each run  0.2 epochs",
        "5 runs of 100% of the length for each of 3 variants; has no rate of its own to tune: wide",
        "the worse half is dropped",
        "cost  ",
        "folder  studies/digits-",
    ):
        assert line in said, line
    assert not list(tmp_path.iterdir())


def test_a_budget_gives_the_runs_their_length(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    free = [word for word in SMALL if word not in ("--epochs", "0.2")]
    assert command(["compare", *free, *VARY, "--budget", "5m", "--jobs", "2", "--tune", "none", "--dry-run"]) == 0
    said = capsys.readouterr().err
    minutes = next(line for line in said.splitlines() if " cost " in line).rpartition("about ")[2]
    assert minutes in ("4.9 min", "5.0 min", "5.1 min")
    assert command(["compare", *free, *VARY, "--budget", "2s", "--dry-run"]) == 2
    assert "do not even pay for one step" in capsys.readouterr().err


def test_figures_are_printed_and_exported(study, tmp_path, capsys):
    assert command(["compare", "--resume", str(study), "--json", "--export", str(tmp_path / "runs.parquet")]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["complete"]
    assert told["metric"]["name"] == "accuracy"
    assert len(told["variants"]) == 2
    pandas = pytest.importorskip("pandas")
    frame = pandas.read_parquet(tmp_path / "runs.parquet")
    assert list(frame["variant"]) == ["tanh", "elu"] * 2
    assert command(["compare", "--work", str(study), "--export", str(tmp_path / "runs.csv")]) == 0
    said = capsys.readouterr()
    assert said.out.splitlines()[0].split()[:2] == ["variant", "accuracy"]
    assert "5 seeds are the least" in said.out
    assert f"study   {study}" in said.out
    assert "4 runs, " in said.err
    assert "of which 4 have ended" in said.err
    assert (tmp_path / "runs.csv").read_text() == (study / "results.csv").read_text()


def test_a_dry_extension_changes_nothing_and_a_wrong_one_is_refused(study, capsys):
    before = (study / "study.toml").read_bytes()
    assert (
        command(["compare", "--resume", str(study), "--seeds", "4", "--variant", "wide: model.width = 16", "--dry-run"])
        == 0
    )
    said = capsys.readouterr().err
    assert "variants  3: tanh; elu; wide" in said
    assert "12 runs, " in said
    assert "of which 4 have ended" in said
    for options, message in ((["--seeds", "1"], "a study only grows"), (["--jobs", "0"], "jobs: must be")):
        assert command(["compare", "--resume", str(study), *options]) == 2
        assert message in capsys.readouterr().err
    assert command(["compare", "--resume", str(study.parent)]) == 2
    assert "is no study" in capsys.readouterr().err
    assert (study / "study.toml").read_bytes() == before
    assert command(["compare", *SMALL, *VARY, "--out", str(study)]) == 2
    assert "exists already" in capsys.readouterr().err


def test_ctrl_c_says_how_to_go_on_and_kills_as_ever(tmp_path):
    place = tmp_path / "study"
    words = [*SMALL, *VARY, "--epochs", "500", "--tune", "none", "--seeds", "1", "--jobs", "2", "--out", str(place)]
    process = subprocess.Popen([sys.executable, "-m", "seewhy", "compare", *words], stderr=subprocess.PIPE, text=True)
    end = time.monotonic() + 120
    while len(list(place.glob("runs/*/0/metrics.csv"))) < 2:
        assert process.poll() is None
        assert time.monotonic() < end
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=60)
    assert process.returncode == -signal.SIGINT
    assert said.rstrip().endswith(f"seewhy compare: stopped; go on with: seewhy compare --resume {place}")
    for log in place.glob("runs/*/0.log"):
        assert "go on with: seewhy train --resume" in log.read_text()
    assert not list(place.rglob("*.failed.json"))
    shown = subprocess.run(["ps", "-eo", "args"], capture_output=True, text=True, check=True).stdout
    assert str(place) not in shown
