"""Errors that a user can act on.

Every message names the parameter and its owner, what is allowed, what came, and what to do next, so that
nobody has to read a traceback to mend a run. The command line turns `InputError` into exit code 2.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class InputError(ValueError):
    """The user's input is wrong: a bad value, a missing file, an impossible combination."""


class RunError(RuntimeError):
    """The input was right, but the run could not go on: a full disk, a loss that is not finite."""


MANY = 30
"""Names, of which a list hides what stands behind it."""


def nearest(name: str, allowed: Iterable[str]) -> str | None:
    """Return the member of `allowed` that `name` most likely meant, or None if nothing is close."""
    choices = {choice.lower().replace("-", "_"): choice for choice in allowed}
    close = difflib.get_close_matches(name.lower().replace("-", "_"), list(choices), n=1, cutoff=0.6)
    return choices[close[0]] if close else None


def unknown_name(field: str, came: object, allowed: Iterable[str]) -> InputError:
    """Build the error for a name that is not among the allowed ones.

    Args:
        field: the parameter with its owner, such as `model.activation`.
        came: what the user wrote.
        allowed: the valid names, in the order in which they are listed.
    """
    allowed = list(allowed)
    hint = nearest(str(came), allowed)
    message, meant = f"{field}: {came!r} is not known", f"did you mean {hint!r}?" if hint else ""
    names = f"allowed: {', '.join(allowed)}"
    parts = [meant, names] if len(allowed) > MANY else [names, meant]  # what is meant must not drown
    return InputError("; ".join([message, *filter(None, parts)]))


def bad_value(field: str, came: object, allowed: str, advice: str = "") -> InputError:
    """Build the error for a value outside what `field` allows; `advice` says what to do next."""
    message = f"{field}: must be {allowed}, got {came!r}"
    return InputError(f"{message}; {advice}" if advice else message)
