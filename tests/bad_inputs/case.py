"""What a bad input is, and how an attempt with it can end."""

import logging
import math
import traceback
from collections.abc import Callable, Iterable
from contextlib import redirect_stderr
from dataclasses import dataclass
from io import StringIO
from pathlib import Path

import skywork_rb_plugin
from skywork_rb_plugin import UserError

SCORED, LINE, HOST = "scored", "one line", "line of others"
# ends that no table of ours may ask for
LINES, TRACEBACK, NOT_FINITE = "several lines", "traceback", "not finite"

_PACKAGE = Path(skywork_rb_plugin.__file__).resolve().parent


@dataclass(frozen=True)
class Case:
    """One input.

    Attributes:
        given: what an area's `attempt` takes.
        end: SCORED, LINE or HOST.
        says: part of the line: what was found, as the user knows it. Of what is scored, part of a warning, or nothing.
    """

    given: object
    end: str
    says: str = ""


@dataclass(frozen=True)
class Place:
    """Where an attempt takes place: an empty current folder of its own, and the TaskManager of all tests."""

    folder: Path
    task_manager: object


@dataclass(frozen=True)
class Area:
    """Inputs of one kind, by their names in words.

    Attributes:
        name: for the page's table.
        cases: the table.
        attempt: takes `Case.given` and a Place; returns the numbers that came out, if any.
    """

    name: str
    cases: dict[str, Case]
    attempt: Callable[[object, Place], Iterable[float] | None]


def scored(given: object, says: str = "") -> Case:
    """Input that is fine after all; `says` is part of a warning, where it deserves one."""
    return Case(given, SCORED, says)


def line(given: object, says: str) -> Case:
    """Input that gets one line of ours."""
    return Case(given, LINE, says)


def host(given: object, says: str) -> Case:
    """Input refused before or beside our code: `says` begins with the package that refuses it."""
    return Case(given, HOST, says)


def end_of(attempt: Callable[[], Iterable[float] | None]) -> tuple[str, str]:
    """How an attempt ends, and what is said: the error, or the warnings."""
    warnings, printed = StringIO(), StringIO()
    handler = logging.StreamHandler(warnings)
    handler.setLevel(logging.WARNING)
    logger = logging.getLogger("lm_eval")
    logger.addHandler(handler)
    try:
        with redirect_stderr(printed):
            numbers = list(attempt() or [])
    except UserError as error:
        return (LINES if "\n" in str(error) else LINE), str(error)
    except SystemExit as error:  # of a command's argparse
        return (HOST if error.code == 2 else TRACEBACK), f"argparse: {printed.getvalue()}"
    except Exception as error:
        files = [Path(frame.filename).resolve() for frame in traceback.extract_tb(error.__traceback__)]
        ours = any(_PACKAGE in file.parents for file in files)
        return (TRACEBACK if ours else HOST), f"{_owner(files[-1])}: {type(error).__name__}: {error}"
    finally:
        logger.removeHandler(handler)
    return (SCORED if all(map(math.isfinite, numbers)) else NOT_FINITE), f"{numbers} {warnings.getvalue()}"


def _owner(file: Path) -> str:
    """The package that a file is of."""
    parts = file.parts
    return parts[parts.index("site-packages") + 1] if "site-packages" in parts else file.parent.name
