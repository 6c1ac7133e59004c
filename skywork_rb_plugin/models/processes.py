"""The processes that `torchrun` or `accelerate launch` start, each with a model: how they meet, and hear of each other's end."""

import atexit
import functools
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import timedelta
from queue import SimpleQueue
from threading import Thread
from typing import TypeVar

import accelerate
import torch
from torch import distributed

from skywork_rb_plugin.errors import UserError

Thing = TypeVar("Thing")

# until all are there: each has the tasks to look at before
_MEETING = timedelta(minutes=30)
# how long processes that have met wait for each other, as in the host: one may have much more to score
_PATIENCE = timedelta(weeks=52)
# bytes of the message that one has ended its share, or why it could not
_WORDS = 2000


def started() -> int:
    """How many there are; 1 without a launcher: clusters set WORLD_SIZE by themselves, launchers LOCAL_RANK too."""
    return int(os.environ["WORLD_SIZE"]) if {"WORLD_SIZE", "LOCAL_RANK"} <= os.environ.keys() else 1


class EndedElsewhere(UserError):
    """Another process has ended, and so the run of all; says why where it is known."""


class Peers:
    """All processes of a run, by connections of their own on the CPU: those of one that dies are closed, which all notice.

    Every process makes it, and calls what it has, in the same order.

    Attributes:
        rank: number of this process among all.
        size: how many there are.
    """

    def __init__(self) -> None:
        self.rank, self.size = distributed.get_rank(), distributed.get_world_size()
        self._others = [rank for rank in range(self.size) if rank != self.rank]
        self._group = distributed.new_group(backend="gloo", timeout=_PATIENCE)

    def exchange(self, thing: Thing) -> list[Thing]:
        """What all bring, in the order of their ranks.

        Raises:
            EndedElsewhere: one has died.
        """
        things: list = [None] * self.size
        with _noticing():
            distributed.all_gather_object(things, thing, group=self._group)
        return things

    def gather(self, thing: Thing, to: int) -> list[Thing] | None:
        """The same on the rank `to`, None on others."""
        things = [None] * self.size if self.rank == to else None
        with _noticing():
            distributed.gather_object(thing, things, dst=to, group=self._group)
        return things

    @contextmanager
    def together(self) -> Iterator[Callable[[], None]]:
        """A piece of work that each does at its own pace: left when all have done theirs, or when one of them fails.

        Gives what is to be called now and then, to hear of that as it happens.

        Raises:
            EndedElsewhere: one has failed or died.
        """
        heard: SimpleQueue[tuple[int, str | None]] = SimpleQueue()
        for peer in self._others:
            Thread(target=lambda peer=peer: heard.put((peer, self._hear(peer))), daemon=True).start()
        at_work = set(self._others)

        def note(peer: int, failure: str | None) -> None:
            at_work.remove(peer)
            if failure is not None:
                raise EndedElsewhere(failure)

        def check() -> None:
            while not heard.empty():
                note(*heard.get())

        try:
            yield check
        except EndedElsewhere as error:
            self._tell(str(error))
            raise
        except BaseException as error:
            why = str(error) if isinstance(error, UserError) else f"{type(error).__name__}: {error}".rstrip(": ")
            self._tell(f"process {self.rank + 1} of {self.size} has ended: {' '.join(why.split())}")
            raise
        self._tell("")
        while at_work:
            note(*heard.get())

    def _tell(self, failure: str) -> None:
        words = failure.encode()[:_WORDS].ljust(_WORDS, b"\0")
        for peer in self._others:
            with suppress(RuntimeError):  # that it has died is heard
                distributed.send(torch.frombuffer(bytearray(words), dtype=torch.uint8), dst=peer, group=self._group)

    def _hear(self, peer: int) -> str | None:
        """Wait for what one tells: None for well done."""
        words = torch.empty(_WORDS, dtype=torch.uint8)
        try:
            distributed.recv(words, src=peer, group=self._group)
        except RuntimeError:
            return f"process {peer + 1} of {self.size} has died and could not say why: see its own output, and the system's log"
        return bytes(words.tolist()).rstrip(b"\0").decode(errors="ignore") or None


@contextmanager
def _noticing() -> Iterator[None]:
    try:
        yield
    except RuntimeError as error:
        raise EndedElsewhere("another process has ended: its own output says why") from error


@functools.cache
def meet(on_cpu: bool) -> Peers | None:
    """Have the processes find each other; None where there is one only.

    accelerate joins them on the CPU only when it is told, and the first to ask decides.
    """
    accelerate.PartialState(cpu=on_cpu, timeout=_MEETING)
    if not distributed.is_initialized() or distributed.get_world_size() == 1:
        return None
    peers = Peers()
    # at the interpreter's end, to which the host leaves it, the group's threads may abort the process
    atexit.register(lambda: distributed.is_initialized() and distributed.destroy_process_group())
    return peers
