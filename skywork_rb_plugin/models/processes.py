"""The processes that `torchrun` or `accelerate launch` start, each with a model and a share of the documents."""

import atexit
import os
from datetime import timedelta

import accelerate
import torch

# how long processes wait for each other, as in the host: one may have much more to score
_PATIENCE = timedelta(weeks=52)


def started() -> int:
    """How many there are; 1 without a launcher: clusters set WORLD_SIZE by themselves, launchers LOCAL_RANK too."""
    return int(os.environ["WORLD_SIZE"]) if {"WORLD_SIZE", "LOCAL_RANK"} <= os.environ.keys() else 1


def join_on_cpu() -> None:
    """Have accelerate join them on the CPU: it does so only when it is told, and the first to ask decides."""
    accelerate.PartialState(cpu=True, timeout=_PATIENCE)


def leave_at_exit() -> None:
    """Leave the group before the interpreter's end, to which the host leaves it: there its threads may abort the process."""

    def leave() -> None:
        if torch.distributed.is_initialized():
            torch.distributed.destroy_process_group()

    atexit.register(leave)
