"""Token sequences -> packs: prefix trees in which tokens that several conversations share are stored once.

A pack is a forest in depth-first order. A token may see itself and its ancestors, which is what it would see in its own
conversation: token q sees token k when `k <= q < subtree_ends[k]`.
"""

from bisect import bisect_left, insort
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import compress, count
from operator import ne

import numpy as np

Tokens = tuple[int, ...]


@dataclass(frozen=True, slots=True, eq=False)
class Pack:
    """Conversations that go through the model in one forward pass.

    The first three are int32 arrays, since tensors are made of lists only item by item.

    Attributes:
        tokens: token ids, one per node, in depth-first order.
        depths: of each node, its position within its conversations.
        subtree_ends: of each node, the index after its last descendant.
        conversations: keys of the sequences that the pack holds.
        sequences: the token ids of each of these conversations.
        paths: of each of these conversations, the stretches of nodes it runs through, as (first node, its depth).
    """

    tokens: np.ndarray
    depths: np.ndarray
    subtree_ends: np.ndarray
    conversations: list[int]
    sequences: list[Tokens]
    paths: list[tuple[tuple[int, int], ...]]

    def __len__(self) -> int:
        return len(self.tokens)

    def nodes(self, index: int, positions: np.ndarray) -> np.ndarray:
        """The nodes of the tokens at some positions of the conversation that is at `index` in `conversations`."""
        firsts, depths = np.array(self.paths[index]).T
        stretch = np.searchsorted(depths, positions, side="right") - 1
        return firsts[stretch] + positions - depths[stretch]

    @property
    def is_single(self) -> bool:
        """Whether it holds no two different conversations."""
        return len(set(self.sequences)) == 1


@dataclass(slots=True)
class _Part:
    """Leaves of a subtree that stay together: `size` counts their nodes below the subtree's root."""

    size: int
    leaves: list[int]

    def __lt__(self, other: "_Part") -> bool:
        return self.size < other.size

    def join(self, other: "_Part") -> None:
        """Take in the other's leaves; the longer list is kept, so that joining all of n leaves takes n log n steps."""
        small, large = sorted((self.leaves, other.leaves), key=len)
        large.extend(small)
        self.size, self.leaves = self.size + other.size, large


def pack_conversations(sequences: Mapping[int, Sequence[int]], budget: int, strict: bool = False) -> list[Pack]:
    """Distribute sequences of token ids over packs of at most `budget` tokens, the largest pack first.

    Every sequence is in exactly one pack, and equal sequences are stored once. A tree is cut only where it exceeds the
    budget, and there into as few parts as will do, each of which repeats the tokens above the cut. A sequence longer
    than the budget is a pack of its own, unless it shares more than the budget with others: to repeat that would cost
    more than to exceed the budget, so that they may stay together up to twice what they share; not if `strict`.

    Raises:
        ValueError: a sequence is empty.
    """
    same: dict[Tokens, list[int]] = {}
    for key, ids in sequences.items():
        same.setdefault(tuple(ids), []).append(key)
    if () in same:
        raise ValueError(f"sequence {same[()][0]} is empty")
    leaves = sorted(same)
    packs = []
    for part in _parts(leaves, lambda depth: depth if depth >= budget and not strict else budget - depth):
        packs.append(_lay_out({leaves[i]: same[leaves[i]] for i in sorted(part.leaves)}))
    return sorted(packs, key=len, reverse=True)


def _parts(leaves: Sequence[Tokens], capacity: Callable[[int], int]) -> list[_Part]:
    """Which leaves, given in lexicographic order, share a pack: branching points are closed from the deepest up.

    `capacity` says for a depth how many nodes below it a pack may hold.
    """
    open_points: list[tuple[int, list[_Part]]] = [(0, [])]  # depth and parts below, along the path to the last leaf
    for i, ids in enumerate(leaves):
        _close(open_points, _shared(leaves[i - 1], ids) if i else 0, capacity)
        open_points.append((len(ids), [_Part(0, [i])]))
    _close(open_points, 0, capacity)
    [(_, parts)] = open_points
    return _combine(parts, capacity(0))


def _close(open_points: list[tuple[int, list[_Part]]], depth: int, capacity: Callable[[int], int]) -> None:
    while open_points[-1][0] > depth:
        closed, parts = open_points.pop()
        if open_points[-1][0] < depth:
            open_points.append((depth, []))
        above, siblings = open_points[-1]
        for part in _combine(parts, capacity(closed)):
            part.size += closed - above
            siblings.append(part)


def _combine(parts: list[_Part], capacity: int) -> list[_Part]:
    """Join parts into as few as `capacity` allows: each goes, largest first, where the least room remains."""
    if len(parts) == 1:
        return parts
    joined: list[_Part] = []  # smallest first
    for part in sorted(parts, reverse=True):
        fullest = bisect_left(joined, _Part(capacity - part.size + 1, [])) - 1
        if fullest >= 0:
            part.join(joined.pop(fullest))
        insort(joined, part)
    return joined


def _shared(a: Sequence[int], b: Sequence[int]) -> int:
    """Length of the common prefix."""
    return next(compress(count(), map(ne, a, b)), min(len(a), len(b)))


def _lay_out(leaves: Mapping[Tokens, list[int]]) -> Pack:
    """Lay out leaves, in lexicographic order and with the conversations that end there, depth first."""
    ordered = list(leaves)
    shared = [0, *map(_shared, ordered, ordered[1:])]
    size = sum(len(ids) - same for ids, same in zip(ordered, shared, strict=True))
    tokens, depths, subtree_ends = (np.empty(size, np.int32) for _ in range(3))
    pack = Pack(tokens, depths, subtree_ends, [], [], [])
    runs: list[tuple[int, int]] = []  # stretches of the current path without a branch: first node, its depth
    end, previous = 0, 0  # nodes so far; length of the leaf before
    for ids, same in zip(ordered, shared, strict=True):
        _end_subtrees(subtree_ends, runs, end, previous, same)
        start, end, previous = end, end + len(ids) - same, len(ids)
        if end > start:
            runs.append((start, same))
        tokens[start:end] = ids[same:]
        depths[start:end] = np.arange(same, len(ids))
        pack.conversations.extend(leaves[ids])
        pack.sequences.extend([ids] * len(leaves[ids]))
        pack.paths.extend([tuple(runs)] * len(leaves[ids]))
    _end_subtrees(subtree_ends, runs, end, previous, 0)
    return pack


def _end_subtrees(subtree_ends: np.ndarray, runs: list[tuple[int, int]], end: int, length: int, depth: int) -> None:
    """Note that the subtrees of the current path's nodes from `depth` to `length` are complete before node `end`."""
    while length > depth:
        node, first = runs.pop()
        start = max(first, depth)
        subtree_ends[node + start - first : node + length - first] = end
        if first < depth:
            runs.append((node, first))
        length = start
