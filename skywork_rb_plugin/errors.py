"""Errors that are the user's to mend: one line that says what was found, what was expected and what to change."""

import logging
import sys


class UserError(ValueError):
    """Bad input. The message is one line; on the command line it is shown without a traceback."""


def show_user_errors_plainly() -> None:
    """Have the interpreter print an uncaught UserError as its one line; everything else as before.

    LMEVAL_LOG_LEVEL=DEBUG keeps the traceback. Calling this twice does no harm.
    """
    previous = sys.excepthook
    if getattr(previous, "shows_user_errors", False):
        return

    def excepthook(kind, error, traceback):
        if isinstance(error, UserError) and not logging.getLogger("lm_eval").isEnabledFor(logging.DEBUG):
            print(f"skywork-rb-plugin: {error}", file=sys.stderr)
        else:
            previous(kind, error, traceback)

    excepthook.shows_user_errors = True
    sys.excepthook = excepthook
