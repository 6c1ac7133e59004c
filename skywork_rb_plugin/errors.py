"""Errors that are the user's to mend: one line that says what was found, what was expected and what to change."""

import logging
import sys
from traceback import walk_tb


class UserError(ValueError):
    """Bad input. The message is one line; on the command line it is shown without a traceback."""


def show_user_errors_plainly() -> None:
    """Have the interpreter print an uncaught UserError as its one line, and so a cache that fails in the host's hands.

    LMEVAL_LOG_LEVEL=DEBUG keeps the traceback. Calling this twice does no harm.
    """
    previous = sys.excepthook
    if getattr(previous, "shows_user_errors", False):
        return

    def excepthook(kind, error, traceback):
        line = error if isinstance(error, UserError) else None
        if kind.__module__ == "sqlite3" and _passed("lm_eval.api.model", traceback):
            # the host's cache, where all answers of a run are stored once more
            line = f"can't use the file of --use_cache ({error}); what it holds is kept: make room, and run the command again"
        if line and not logging.getLogger("lm_eval").isEnabledFor(logging.DEBUG):
            print(f"skywork-rb-plugin: {line}", file=sys.stderr)
        else:
            previous(kind, error, traceback)

    excepthook.shows_user_errors = True
    sys.excepthook = excepthook


def _passed(module: str, traceback) -> bool:
    """Whether an error came through a module."""
    return any(frame.f_globals.get("__name__") == module for frame, _ in walk_tb(traceback))
