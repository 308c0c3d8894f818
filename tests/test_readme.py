"""Nothing shown goes unrun: the README's Python runs, and its commands parse."""

import re
import shlex
from pathlib import Path

import pytest

from seewhy.cli.main import COMMANDS

HOME = Path(__file__).parent.parent
README = (HOME / "README.md").read_text(encoding="utf-8")
PYTHON = [
    block
    for page in (HOME / "README.md", *sorted((HOME / "docs").glob("*.md")))
    for block in re.findall(r"```python\n(.*?)```", page.read_text(encoding="utf-8"), flags=re.S)
]
SHELL = [
    line[2:].split("  #")[0]
    for block in re.findall(r"```console\n(.*?)```", README, flags=re.S)
    for line in block.splitlines()
]


@pytest.mark.parametrize("block", PYTHON)
def test_python_blocks_run(block, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    exec(compile(block, "README.md", "exec"), {})
    if "seewhy.train(" in block:
        said = capsys.readouterr().out
        assert float(said.split()[0]) > 0.5
        assert said.strip().endswith("report.html")


@pytest.mark.parametrize("line", SHELL)
def test_shell_lines_parse(line):
    words = shlex.split(line)
    command = words[words.index("seewhy") + 1]
    assert command in COMMANDS
    if command == "train":
        import argparse

        from seewhy.cli.commands import train

        parser = argparse.ArgumentParser(exit_on_error=False)
        train.describe(parser)
        options = parser.parse_args(words[words.index("train") + 1 :])
        from seewhy.cli.options import spec_options
        from seewhy.training.spec import RunSpec

        RunSpec.from_dict({"source": options.source or "-"}).with_changes(spec_options(options))


def test_readme_is_short_and_starts_with_the_two_commands():
    assert len(README.splitlines()) < 200
    commands = re.findall(r"^    (make \w+)", README, flags=re.M)
    assert commands[:2] == ["make demo", "make test"]


def test_every_picture_and_link_exists():
    root = Path(__file__).parent.parent
    targets = re.findall(r"\]\(([^)#]+)\)", README)
    assert targets
    missing = [target for target in targets if "://" not in target and not (root / target).exists()]
    assert not missing
