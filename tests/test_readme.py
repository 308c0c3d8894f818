"""Nothing shown goes unrun: every line of the README's console blocks runs, and every block of Python here and in docs/."""

import math
import re
import shlex
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from seewhy.cli.main import COMMANDS, run
from seewhy.diagnosis import network

pytestmark = pytest.mark.usefixtures("drawn")

HOME = Path(__file__).parent.parent
README = (HOME / "README.md").read_text(encoding="utf-8")
WRITTEN = [path for path in sorted((HOME / "docs").rglob("*.md")) if "generated" not in path.parts]
PAGES = (HOME / "README.md", *WRITTEN)
PYTHON = [
    block
    for page in PAGES
    for block in re.findall(r"```python\n(.*?)```", page.read_text(encoding="utf-8"), flags=re.S)
]
MACHINES = (HOME / "docs/many-machines.md").read_text(encoding="utf-8")
CONSOLE, LAUNCHED = (
    re.findall(r"^## ([^\n]+)\n(?:(?!^## ).)*?```console\n(.*?)```", text, flags=re.S | re.M)
    for text in (README, MACHINES)
)
LAUNCHERS = ("torchrun", "srun")


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """What a reader has: photos in class folders, photos of a holiday, scans of digits."""
    folder = tmp_path_factory.mktemp("reader")
    random = np.random.default_rng(0)
    for number in range(72):
        pixels = random.integers(0, 120, (16, 16, 3), dtype=np.uint8)
        pixels[:, :, number % 3] += 130
        home = folder / "photos" / ("forest", "sea", "street")[number % 3]
        home.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels).save(home / f"{number:03d}.png")
    for number in (1, 2, 3):
        for name in ("holiday", "scans"):
            (folder / name).mkdir(exist_ok=True)
            pixels = random.integers(0, 255, (40, 30), dtype=np.uint8)
            Image.fromarray(pixels).save(folder / name / f"{number}.png")
    return folder


@pytest.mark.parametrize("block", PYTHON)
def test_python_blocks_run(block, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(network, "SHARE", math.inf)  # probes by steps alone: a busy machine sees what a quick one sees
    exec(compile(block, "README.md", "exec"), {})
    if "seewhy.train(" in block:
        printed = capsys.readouterr().out
        assert float(printed.split()[0]) > 0.5
        assert printed.strip().endswith("report.html")


def lines_of(block):
    """Return the commands of a console block, each as words; a comment follows after two spaces."""
    lines = block.splitlines()
    assert all(line.startswith("$ ") for line in lines)
    return [shlex.split(line[2:].split("  #")[0]) for line in lines]


@pytest.mark.parametrize(("title", "block"), CONSOLE + LAUNCHED, ids=[title for title, _ in CONSOLE + LAUNCHED])
def test_console_lines_run(title, block, place, tmp_path, monkeypatch, capsys):
    """Each block by itself, in a folder with the reader's images, on the runs that its own lines make."""
    for name in ("photos", "holiday", "scans"):
        shutil.copytree(place / name, tmp_path / name)
    monkeypatch.chdir(tmp_path)
    for words in lines_of(block):
        target = words[words.index(">") + 1] if ">" in words else None
        words = words[: words.index(">")] if target is not None else words
        if words[0] in LAUNCHERS:
            words = [*launched(words), "--dry-run"]  # many processes train together in tests/training
        assert words[0] == "seewhy"
        code = run(shortened(words[1:]))
        printed = capsys.readouterr()
        assert code == 0, (words, printed.err)
        assert printed.out if "--dry-run" not in words else printed.err
        if target is not None:
            assert len(printed.out.splitlines()) == 1 + len(list((tmp_path / "holiday").iterdir()))


def shortened(words):
    """Return a command that trains for one epoch, in fp32, or goes on to a second; one that repeats a run of the block is as it stands."""
    if words[0] != "train" or "--spec" in words:
        return words
    if "--resume" in words:
        return [*words, "--epochs", "2"] if "--epochs" in words else words
    if "--minutes" in words:
        return [*words, "--minutes", "0.002"]
    return [*words, "--epochs", "1", "--precision", "fp32"]


def launched(words):
    """Return the command that each process of torchrun or srun is given; the launcher's own options are looked at only."""
    if words[0] == "torchrun":
        from torch.distributed.run import get_args_parser

        options = get_args_parser().parse_args(words[1:])
        assert (options.module, options.training_script) == (True, "seewhy")
        assert int(options.nproc_per_node) > 1
        return ["seewhy", *options.training_script_args]
    at = words.index("python")
    assert all(re.fullmatch(r"--[a-z-]+|\d+", word) for word in words[1:at])
    assert words[at : at + 3] == ["python", "-m", "seewhy"]
    return words[at + 2 :]


def test_no_console_line_is_left_out():
    """The blocks that run are all there are, and among them they show every command that has something to show."""
    assert sum(len(lines_of(block)) for _, block in CONSOLE) == len(re.findall(r"^\$ ", README, flags=re.M))
    shown = {words[words.index("seewhy") + 1] for _, block in CONSOLE for words in lines_of(block)}
    assert shown <= set(COMMANDS)
    assert {"check", "train", "predict", "evaluate", "generate", "techniques"} <= shown


def test_other_commands_that_are_named_are_there():
    targets = re.findall(r"^([a-z]+):", (HOME / "Makefile").read_text(), flags=re.M)
    for page in PAGES:
        text = page.read_text(encoding="utf-8")
        assert set(re.findall(r"^    make (\w+)", text, flags=re.M)) <= set(targets)
        assert all((HOME / script).is_file() for script in re.findall(r"`python ([\w/.]+\.py)", text))


def test_readme_is_short_and_starts_with_the_two_commands():
    assert len(README.splitlines()) < 200
    commands = re.findall(r"^    (make \w+)", README, flags=re.M)
    assert commands[:2] == ["make demo", "make test"]


def test_every_figure_and_link_exists():
    for page in PAGES:
        text = page.read_text(encoding="utf-8")
        targets = re.findall(r"\]\(([^)#]+)\)", text)
        assert targets or page.parent.name == "decisions" or "```{" in text  # what Sphinx fills in
        missing = [target for target in targets if "://" not in target and not (page.parent / target).exists()]
        assert not missing, page
