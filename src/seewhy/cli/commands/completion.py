"""Print the lines that teach a shell to complete `seewhy` commands, options and values.

bash   echo 'eval "$(seewhy completion bash)"' >> ~/.bashrc
zsh    echo 'eval "$(seewhy completion zsh)"' >> ~/.zshrc     (after compinit)
fish   seewhy completion fish > ~/.config/fish/completions/seewhy.fish
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from seewhy.core.errors import unknown_name

WORDS = "words"
"""Stands in the place of a shell's name where a shell asks what may follow."""


def describe(parser: argparse.ArgumentParser, arguments: Sequence[str]) -> None:
    """Add the command's options."""
    del arguments
    parser.add_argument("shell", metavar="{bash,zsh,fish}", help="whose lines are printed")
    parser.add_argument(WORDS, nargs="*", default=[], help=argparse.SUPPRESS)
    parser.usage = "seewhy completion {bash,zsh,fish}"


def run(options: argparse.Namespace) -> int:
    """Print a shell's lines, or what may stand in the place of the last word."""
    from seewhy.cli.completion import SCRIPTS, candidates

    if options.shell == WORDS:
        print("\n".join(candidates(options.words).lines()))
        return 0
    if options.shell not in SCRIPTS:
        raise unknown_name("shell", options.shell, SCRIPTS)
    print(SCRIPTS[options.shell], end="")
    return 0
