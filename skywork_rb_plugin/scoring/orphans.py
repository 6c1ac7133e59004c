"""Ends a process whose parent was killed: vLLM's engine would wait for it for ever, and keep its memory.

vLLM calls `end_with_parent` in each process of its engine, as one of its general plugins (pyproject.toml), before a model
is loaded there.
"""

import ctypes
import os
import signal
import sys

# names the process whose children end with it, by its number; others' engines are left alone
PARENT = "SKYWORK_RB_PLUGIN_ENGINE_OF"
# of Linux's prctl
_PR_SET_PDEATHSIG = 1


def end_with_parent() -> None:
    """Have the kernel end this process when its parent ends, however that ends, if the parent asked for it by `PARENT`."""
    asked = os.environ.get(PARENT)
    if asked is None or not sys.platform.startswith("linux"):
        return
    if asked == str(os.getppid()):
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if asked != str(os.getppid()):  # it ended meanwhile
            os.kill(os.getpid(), signal.SIGKILL)
