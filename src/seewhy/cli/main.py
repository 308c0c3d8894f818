"""`seewhy COMMAND ...`: find the command, run it, turn errors into messages and exit codes.

Exit codes: 0 done, 2 the user's input is wrong, 3 `--fail-on` has found what it was to fail on, 1 anything else; Ctrl-C kills as it does any
program. Only the module of the command that was asked for is imported, so that help comes at once.
"""

from __future__ import annotations

import argparse
import errno
import os
import signal
import sys
from collections.abc import Sequence
from contextlib import suppress
from importlib import import_module
from typing import Any, NoReturn

from seewhy.cli.text import give_up, usable_streams
from seewhy.core.errors import InputError, RunError, nearest
from seewhy.core.escaping import escaped

COMMANDS = {
    "demo": "train on the embedded digits, write and print the report: about a minute",
    "train": "train a classifier or a generative model on a folder of images, or go on with a run",
    "evaluate": "accuracy, per-class figures, confusion and calibration of a run; likelihood or sample quality of a generative model",
    "predict": "classes of images: a table, --json or --csv",
    "explain": "why a prediction: attribution maps over the image, held against random weights, and the nearest training images",
    "generate": "sample, complete, reconstruct, interpolate images with a generative model",
    "diagnose": "what is wrong with a run, or with one before it is trained; --try runs a remedy and says whether it helped",
    "compare": "which choice is better on these images, and how sure that is: variants x seeds, paired, with statistics",
    "claims": "the canon's claims, measured: an experiment each, with effects, intervals and a verdict",
    "check": "what is wrong with the images and the split, before any training",
    "techniques": "what can be chosen: formula, source, options",
    "export": "one file that needs no seewhy: ONNX or a program of torch, parity measured before it is written",
    "web": "the local page: classify by drag and drop, generate with sliders, watch and start runs, browse runs, findings, studies",
    "report": "rebuild a run's HTML report",
    "completion": "the lines that teach bash, zsh or fish to complete these commands and their options",
}


DATA = ("digits", "mnist", "fashion-mnist", "kmnist", "cifar10", "cifar100", "svhn")
"""Names of `seewhy.data.BUILTIN`, whose import takes many times as long as help."""

STOPPED = 128 + signal.SIGINT
"""Exit code after Ctrl-C."""

UNWRITABLE = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO, errno.EBADF)
"""What a stream answers to which nothing can be written."""

TRUTH = ("true", "false", "yes", "no", "1", "0")
"""What may follow a switch such as --data.strict as its value."""


class Help(argparse.RawDescriptionHelpFormatter):
    """Option names once each, with the value's form after the last."""

    def _format_action_invocation(self, action: argparse.Action) -> str:
        names = [name for name in action.option_strings if "_" not in name]
        if not names:
            return super()._format_action_invocation(action)
        value = "" if action.nargs == 0 else " " + self._format_args(action, (action.dest or "").upper())
        return ", ".join(names) + value


class Parser(argparse.ArgumentParser):
    """argparse, with the nearest valid option in its errors.

    Attributes:
        given: the words that are parsed, among which a file's name may look like an option.
    """

    given: Sequence[str] = ()

    def _print_message(self, message: str, file: Any = None) -> None:
        """Print; argparse would take a help that cannot be written for one that is."""
        if file is sys.stdout:
            file.write(message)
        else:
            super()._print_message(message, file)

    def error(self, message: str) -> NoReturn:
        """Print the error and what was probably meant; exit with 2."""
        unknown = (
            [word for word in message.split() if word.startswith("--")] if "unrecognized arguments" in message else []
        )
        known = [option for action in self._actions for option in action.option_strings]
        hints = [f"{word}: did you mean {hint}?" for word in unknown if (hint := nearest(word.split("=")[0], known))]
        files = [word for word in self.given if word.startswith("-") and os.path.lexists(word)]
        hints += [f"{word}: is taken for an option; as a file it is ./{word}" for word in files]
        message = message.replace("unrecognized arguments", "there is no such option or argument")
        self.exit(2, "\n".join([f"{self.prog}: {message}", *hints, f"try: {self.prog} --help"]) + "\n")


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Run the command line and exit."""
    usable_streams()
    signal.signal(
        signal.SIGTERM, signal.default_int_handler
    )  # a job's end is a Ctrl-C: training saves and says how to go on
    code = run(sys.argv[1:] if arguments is None else arguments)
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except OSError:
            give_up(stream)
    if code == STOPPED:  # die of the Ctrl-C, so that a shell's loop ends with it
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        os.kill(os.getpid(), signal.SIGINT)
    sys.exit(code)


def run(arguments: Sequence[str]) -> int:
    """Run one command and return its exit code; of all commands and helps alike, output that cannot be written is an error."""
    name = arguments[0] if arguments and arguments[0] in COMMANDS else ""
    try:
        try:
            return _run(arguments)
        finally:
            sys.stdout.flush()  # argparse leaves by SystemExit, after a help that is not written yet
    except BrokenPipeError:  # `seewhy predict ... | head`: the reader has what it wanted
        give_up(sys.stdout)
        return 128 + signal.SIGPIPE
    except OSError as error:
        if error.filename is not None or error.errno not in UNWRITABLE:
            raise
        give_up(sys.stdout)  # what is printed goes to a full disk; files of ours are RunErrors
        _complain(name, f"cannot write to the standard output: {error.strerror}")
        return 1


def _run(arguments: Sequence[str]) -> int:
    if not arguments or arguments[0] in ("-h", "--help", "help"):
        print(_help())
        return 0
    if arguments[0] in ("-V", "--version"):
        from seewhy import __version__

        print(f"seewhy {__version__}")
        return 0
    name = arguments[0]
    if name not in COMMANDS:
        hint = nearest(name, COMMANDS)
        ask = f"; did you mean {hint!r}?" if hint else ""
        print(f"seewhy: {name!r} is not a command; commands: {', '.join(COMMANDS)}{ask}", file=sys.stderr)
        return 2
    return _guarded(name, arguments[1:])


def _guarded(name: str, arguments: Sequence[str]) -> int:
    """Run a command; every expected error becomes one clear message on stderr."""
    module, parser = import_module(f"seewhy.cli.commands.{name}"), parser_of(name, arguments)
    options = parser.parse_intermixed_args(_switched(parser, arguments))
    try:
        code: int = module.run(options)
        return code
    except (InputError, RunError) as error:
        _complain(name, str(error))
        return 2 if isinstance(error, InputError) else 1
    except KeyboardInterrupt as error:
        _complain(name, str(error) or "stopped")
        return STOPPED


def parser_of(name: str, arguments: Sequence[str]) -> Parser:
    """Return the parser of a command; what was given decides which options help lists."""
    module = import_module(f"seewhy.cli.commands.{name}")
    parser = Parser(
        prog=f"seewhy {name}",
        description=module.__doc__,
        formatter_class=Help,
        allow_abbrev=False,
    )
    parser.given = arguments
    module.describe(parser, arguments)
    return parser


def _complain(name: str, message: str) -> None:
    """Print a message on stderr, if that can be written."""
    with suppress(OSError):
        print(f"{f'seewhy {name}'.rstrip()}{_process()}: {escaped(message, lines=True)}", file=sys.stderr)


def _switched(parser: argparse.ArgumentParser, arguments: Sequence[str]) -> list[str]:
    """Give every switch that stands without a value the value true, so that it does not take the next word for one."""
    switches = {name for action in parser._actions if action.const == "true" for name in action.option_strings}
    following = [*arguments[1:], ""]
    return [
        f"{word}=true" if word in switches and after.lower() not in TRUTH else word
        for word, after in zip(arguments, following, strict=False)
    ]


def _process() -> str:
    """Return which of many processes speaks; nothing for the first, which is the only one as a rule."""
    from seewhy.core.launcher import launch  # a quarter of the time of --help, which has no use for it

    rank = launch().rank
    return f" (process {rank})" if rank else ""


def _help() -> str:
    width = max(map(len, COMMANDS))
    rows = "\n".join(f"  {name:<{width}}  {what}" for name, what in COMMANDS.items())
    return (
        "seewhy: train networks that see, and see why they learn, or don't.\n\n"
        f"usage: seewhy COMMAND ...\n\n{rows}\n\n"
        "Each command has its own --help. DATA is a folder of class folders, of tar shards, or saved by\n"
        "`datasets`; shards as x-{000..009}.tar; a built-in name\n"
        f"({', '.join(DATA)}); or an .npz of images and labels.\n"
        "\nstart with: seewhy demo"
    )
