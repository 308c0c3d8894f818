"""What may stand next on a command line: the shells ask it word by word, so that they offer what the command itself would take.

`seewhy train --model vae --<TAB>` lists a VAE's options, because the parser that is asked is the one that would parse.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from seewhy.cli.main import COMMANDS, DATA, parser_of

ONE_LINE = 80
"""Characters of help beside a word."""

EVERYWHERE = {"--help": "what seewhy can do", "--version": "which seewhy this is"}


@dataclass(frozen=True)
class Candidates:
    """What may stand in a place.

    Attributes:
        words: with their help.
        files: whether it may be a file or folder too.
    """

    words: tuple[tuple[str, str], ...] = ()
    files: bool = False

    def lines(self) -> Iterator[str]:
        """Yield a line a word, WORD or WORD<tab>HELP, and ":files" where files may be named too."""
        for word, text in self.words:
            yield f"{word}\t{text}" if text else word
        if self.files:
            yield ":files"


def candidates(words: Sequence[str]) -> Candidates:
    """Return what may stand in the place of the last word.

    Args:
        words: what follows `seewhy`, up to the word that is being typed, which may be "". bash gives `--name=value` as three words.
    """
    *before, current = words or [""]
    if not before:
        options = EVERYWHERE if current.startswith("-") else {}
        return _starting(current, [*COMMANDS.items(), *options.items()])
    name, *before = before
    if name not in COMMANDS:
        return Candidates()
    parser = parser_of(name, before)
    if current == "=" and before:
        current = ""
    elif before and before[-1] == "=":
        before = before[:-1]
    option = _takes_value(parser, before[-1] if before else "")
    if option is not None:
        return _values(option, current)
    if current.startswith("-"):
        stem, equals, value = current.partition("=")
        option = _takes_value(parser, stem) if equals else None
        if option is not None:
            found = _values(option, value)
            return Candidates(tuple((f"{stem}={word}", text) for word, text in found.words), found.files)
        return _starting(current, _options(parser))
    return _positional(parser, before, current)


def _starting(current: str, known: Iterable[tuple[str, str]]) -> Candidates:
    return Candidates(tuple((word, text) for word, text in known if word.startswith(current)))


def _options(parser: argparse.ArgumentParser) -> Iterator[tuple[str, str]]:
    """Yield the options that help lists, in its order."""
    for action in parser._actions:
        if action.help is not argparse.SUPPRESS:
            text = (action.help or "").replace("%%", "%").split("\n")[0]
            text = text if len(text) <= ONE_LINE else f"{text[: ONE_LINE - 3].rstrip()}..."
            for name in action.option_strings:
                if name.startswith("--") and "_" not in name:
                    yield name, text


def _takes_value(parser: argparse.ArgumentParser, word: str) -> argparse.Action | None:
    """Return the option that a word names, if the next word is its value; a switch may stand alone."""
    for action in parser._actions:
        if word in action.option_strings:
            return None if action.nargs in (0, "?") else action
    return None


def _values(action: argparse.Action, current: str) -> Candidates:
    """Return what an option or an argument may be."""
    shown = action.metavar if isinstance(action.metavar, str) else ""
    if action.choices is not None:
        return _starting(current, [(str(choice), "") for choice in action.choices])
    if shown.startswith("{"):
        return _starting(current, [(choice, "") for choice in shown.strip("{}").split(",")])
    if shown == "DATA":
        return Candidates(_starting(current, [(name, "built-in data") for name in DATA]).words, files=True)
    return Candidates(files=shown not in ("N", "X", "X,X", "NAME"))


def _positional(parser: argparse.ArgumentParser, before: Sequence[str], current: str) -> Candidates:
    """Return what the argument may be that stands here."""
    arguments = [action for action in parser._actions if not action.option_strings]
    filled = 0
    for previous, word in zip(["", *before], before, strict=False):
        filled += not word.startswith("-") and word != "=" and _takes_value(parser, previous) is None
    if not arguments:
        return _starting(current, _options(parser))
    many = arguments[-1].nargs in ("*", "+")
    if filled >= len(arguments) and not many:
        return Candidates()
    return _values(arguments[min(filled, len(arguments) - 1)], current)


SCRIPTS = {
    "bash": """_seewhy() {
    local word help cur="${COMP_WORDS[COMP_CWORD]}"
    [[ $cur == "=" ]] && cur=""
    COMPREPLY=()
    while IFS=$'\\t' read -r word help; do
        if [[ $word == ":files" ]]; then
            compopt -o filenames
            while IFS= read -r word; do COMPREPLY+=("$word"); done < <(compgen -f -- "$cur")
        else
            COMPREPLY+=("$word")
        fi
    done < <(seewhy completion words -- "${COMP_WORDS[@]:1:COMP_CWORD}" 2>/dev/null)
}
complete -F _seewhy seewhy
""",
    "zsh": """#compdef seewhy
_seewhy() {
    local line files=""
    local -a found
    for line in "${(@f)$(seewhy completion words -- "${(@)words[2,CURRENT]}" 2>/dev/null)}"; do
        if [[ $line == ":files" ]]; then
            files=1
        elif [[ $line == *$'\\t'* ]]; then
            found+=("${${line%%$'\\t'*}//:/\\\\:}:${line#*$'\\t'}")
        elif [[ -n $line ]]; then
            found+=("${line//:/\\\\:}")
        fi
    done
    (( $#found )) && _describe -V seewhy found
    [[ -n $files ]] && _files
}
if [[ $zsh_eval_context[-1] == loadautofunc ]]; then _seewhy "$@"; else compdef _seewhy seewhy; fi
""",
    "fish": """function __seewhy_complete
    set -l typed (commandline -opc) (commandline -ct)
    for line in (seewhy completion words -- $typed[2..] 2>/dev/null)
        if test "$line" = ":files"
            __fish_complete_path (commandline -ct)
        else
            echo $line
        end
    end
end
complete -c seewhy -f -k -a '(__seewhy_complete)'
""",
}
"""What a shell reads once: it asks `seewhy completion words` at every tab."""
