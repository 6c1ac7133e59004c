"""What processes do for each other: all know all requests, each scores a part of the distinct conversations."""

import itertools
import os
from collections.abc import Sequence
from typing import NamedTuple

from skywork_rb_plugin.host import Instance
from skywork_rb_plugin.models.processes import Peers


class Asked(NamedTuple):
    """What is to be known of a request of the host; names as there."""

    args: tuple[str, str]
    task_name: str | None
    doc_id: int | None
    idx: int

    @property
    def where(self) -> str:
        """For errors."""
        return f"task {self.task_name}, document {self.doc_id}, response {self.idx}"


def all_requests(requests: Sequence[Instance], peers: Peers | None) -> tuple[list[Asked], list[int]]:
    """The requests of all processes, and of each one in `requests` its place among them.

    Args:
        requests: this process's; the host fills up those of processes that have fewer with copies of the last.
        peers: the processes that share, or None for this one alone, whose requests these are then.
    """
    asked = [Asked(one.args, one.task_name, one.doc_id, one.idx) for one in requests]
    places = list(range(len(asked)))
    if peers is None:
        return asked, places
    real = len(requests) - _copies(requests)
    everyones = peers.exchange(asked[:real])
    start = sum(map(len, everyones[: peers.rank]))
    return list(itertools.chain(*everyones)), [start + min(place, real - 1) for place in places]


def _copies(requests: Sequence[Instance]) -> int:
    """How many at the end are the host's filling: the last request over and over, beside the times that it is asked for."""
    same = sum(1 for _ in itertools.takewhile(lambda one: one is requests[-1], reversed(requests)))
    return same - requests[-1].repeats if requests else 0


def part(texts: Sequence[str], rank: int, size: int, once: bool) -> list[int]:
    """The indices of the texts that one of `size` processes scores: neighbours in their order, at nearly equal cost for all.

    Cost goes by characters: tokens would be counted in each process, for all, and come to nearly the same shares.

    Args:
        texts: distinct texts, the same in all processes.
        rank: which process.
        size: how many there are.
        once: whether a beginning that neighbours share is computed once, and so counts once.
    """
    order = sorted(range(len(texts)), key=texts.__getitem__)
    inside = [texts[i] for i in order]
    before = ["", *inside] if once else [""] * len(inside)
    shared = (len(os.path.commonprefix(pair)) for pair in zip(before, inside, strict=False))  # noqa: RUF071
    costs = [len(text) - beginning for text, beginning in zip(inside, shared, strict=True)]
    total = max(1, sum(costs))
    # each goes where its middle lies
    middles = (end - cost / 2 for end, cost in zip(itertools.accumulate(costs), costs, strict=True))
    return [i for i, middle in zip(order, middles, strict=True) if int(middle * size / total) == rank]
