"""Scores conversations pack by pack: prefix trees through a causal decoder, its head read where conversations end."""

import logging
import math
from collections import deque
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass

import numpy as np
import torch
import transformers
from accelerate.utils.memory import clear_device_cache

from skywork_rb_plugin.heads.head import Head
from skywork_rb_plugin.scoring.attention import TreeAttention
from skywork_rb_plugin.scoring.batches import Conversations, Scored, ahead, chunks
from skywork_rb_plugin.scoring.budget import OutOfMemory, out_of_memory, ranks_within
from skywork_rb_plugin.scoring.compiled_layers import CompiledLayers
from skywork_rb_plugin.scoring.last_layer import LastLayer
from skywork_rb_plugin.scoring.masks import BLOCK, TreeMask, padded, send
from skywork_rb_plugin.scoring.prefix_tree import Pack, pack_conversations

logger = logging.getLogger(f"lm_eval.{__name__}")

# characters tokenized at a time, per token of the budget: some thirty packs of English text, which fill up well
_CHARACTERS = 128


@dataclass(slots=True)
class _Underway:
    """A pack whose scores are being computed.

    Attributes:
        pack: the pack.
        size: its tokens with padding.
        reads: of each conversation, how many tokens are read for it.
        place: of each read, one conversation's after another's, its row in `values`.
        values: (different reads, k), the head's numbers, maybe not there yet.
        done: when they are, on a GPU.
    """

    pack: Pack
    size: int
    reads: list[int]
    place: torch.Tensor
    values: torch.Tensor
    done: torch.cuda.Event | None


class TreeScorer:
    """Runs a decoder on packs of conversations and reads rewards off its hidden states.

    Args:
        model: a causal model of transformers on its device; its decoder is `model.base_model`.
        head: where hidden states are read, and what becomes of them.
        attention: how its layers attend within packs.
        budget: tokens per pack; halved when memory runs out.
        device: where inputs go.
        autocast: dtype of mixed precision, or None.
        compiled: whether to compile the decoder's layers.

    Raises:
        UserError: they are to be compiled and there are none.
    """

    name = "tree"

    def __init__(
        self,
        model: transformers.PreTrainedModel,
        head: Head,
        attention: TreeAttention,
        budget: int,
        device: torch.device,
        autocast: torch.dtype | None = None,
        compiled: bool = False,
    ) -> None:
        self.model, self.head, self.device, self.autocast = model, head, device, autocast
        self._attention, self.attention = attention, attention.implementation
        self.budget = -(-budget // BLOCK) * BLOCK if attention.fixed_shapes else budget
        self.compiled = compiled
        self._decoder = model.base_model
        self._last_layer = LastLayer(self._decoder)
        self._layers = CompiledLayers(self._decoder, not attention.fixed_shapes) if compiled else None
        self._at_once = 2 if device.type == "cuda" else 1  # a GPU computes one pack while the next is prepared
        self._halved = False

    def settings(self) -> dict[str, object]:
        """How it scores, for the results file."""
        return {
            "attention": self.attention,
            "scoring": self.name,
            "tokens_per_pack": self.budget,
            "batch_size": None,
            "compiled": self.compiled,
        }

    def run(self, conversations: Conversations) -> Iterator[Scored]:
        """Score all conversations, tokenizing some while others are computed; those with the longest come first.

        Raises:
            UserError: a conversation alone is too large for the memory.
        """
        waiting: deque[Pack] = deque()
        underway: deque[_Underway] = deque()
        not_finite: list[Scored] = []  # they end the run: what can be scored beside them comes first
        reads: dict[int, np.ndarray] = {}  # of each conversation, what its head reads
        coming = ahead(self._packs(conversations, reads))
        with closing(coming):
            while True:
                if not waiting and not (underway and not_finite):
                    yield from not_finite
                    not_finite.clear()
                    waiting.extend(next(coming, ()))
                if waiting and len(underway) < self._at_once:
                    pack = waiting.popleft()
                    if self._halved and len(pack) > self.budget and not pack.is_single:
                        waiting.extendleft(reversed(self._divide(pack)))
                    elif started := self._start_if_memory(pack, reads):
                        underway.append(started)
                    else:
                        while underway:
                            yield from self._finish(underway.popleft(), waiting, not_finite)
                        self._halve(pack)
                        waiting.appendleft(pack)
                elif underway:
                    yield from self._finish(underway.popleft(), waiting, not_finite)
                elif not not_finite:
                    return

    def _packs(self, conversations: Conversations, reads: dict[int, np.ndarray]) -> Iterator[list[Pack]]:
        pieces = chunks(conversations.texts, _CHARACTERS * self.budget)
        left: dict[int, tuple[int, ...]] = {}
        for n, piece in enumerate(pieces, 1):
            for i, ids in zip(piece, conversations.encode(piece), strict=True):
                reads[i] = self.head.asked(ids)
                # what follows the last token that is read can't change it
                left[i] = tuple(ids[: reads[i][:, 0].max() + 1])
            packs = pack_conversations(left, self.budget, strict=self._halved)
            # the smallest is filled up from the next piece
            rest = packs.pop() if n < len(pieces) else None
            left = dict(zip(rest.conversations, rest.sequences, strict=True)) if rest else {}
            packs = [pack for pack in packs if not conversations.done >= set(pack.conversations)]
            if packs:
                yield packs

    def _divide(self, large: Pack) -> list[Pack]:
        sequences = dict(zip(large.conversations, large.sequences, strict=True))
        return pack_conversations(sequences, self.budget, strict=True)

    def _size(self, pack: Pack) -> int:
        """Tokens of the forward pass: where shapes are compiled the budget or, beyond it, a multiple of a quarter."""
        if not self._attention.fixed_shapes:
            return len(pack)
        step = self.budget if len(pack) <= self.budget else self.budget // 4
        step = -(-step // BLOCK) * BLOCK
        return -(-len(pack) // step) * step

    def _start_if_memory(self, pack: Pack, reads: Mapping[int, np.ndarray]) -> _Underway | None:
        try:
            return self._start(pack, [reads[conversation] for conversation in pack.conversations])
        except RuntimeError as error:
            if not out_of_memory(error):
                raise
        return None  # out here, nothing holds the tensors of the attempt any more

    @torch.inference_mode()
    def states(self, pack: Pack, reads: list[np.ndarray]) -> torch.Tensor:
        """The hidden states that the head reads, one conversation's after another's: (all reads, hidden size) in float32.

        Args:
            pack: the pack.
            reads: of each of its conversations, what the head reads.
        """
        with self._in_place():
            hidden, _, place = self._hidden(pack, reads)
        return hidden.float()[place.to(hidden.device)]

    @torch.inference_mode()
    def _start(self, pack: Pack, reads: list[np.ndarray]) -> _Underway:
        with self._in_place():
            hidden, targets, place = self._hidden(pack, reads)
            values = self.head.read(hidden, targets)
        counts, size = list(map(len, reads)), self._size(pack)
        if values.device.type != "cuda":
            return _Underway(pack, size, counts, place, values, None)
        # a copy that need not wait for the next pack; the event belongs to the stream that copies
        host = torch.empty(values.shape, pin_memory=True).copy_(values, non_blocking=True)
        done = torch.cuda.Event()
        done.record(torch.cuda.current_stream(values.device))
        return _Underway(pack, size, counts, place, host, done)

    def _hidden(self, pack: Pack, reads: list[np.ndarray]) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Of the different reads, hidden states and targets; and of each read, which of these it is."""
        size = self._size(pack)
        # a node and a target as one number: what differs in neither is computed once
        read = np.concatenate([pack.nodes(i, some[:, 0]) << 32 | some[:, 1] for i, some in enumerate(reads)])
        different, place = map(torch.from_numpy, np.unique(read, return_inverse=True))
        nodes, targets = send(different >> 32, self.device), send(different & (2**32 - 1), self.device)
        arguments = {
            "input_ids": send(torch.from_numpy(padded(pack.tokens, size))[None], self.device),
            "position_ids": send(torch.from_numpy(padded(pack.depths, size))[None], self.device),
            "use_cache": False,
            **self._attention.arguments(
                TreeMask(pack, self.model.config, size, self.device), self.autocast or self.model.dtype
            ),
        }
        with self._last_layer.reading(nodes, size):
            hidden = self._decoder(**arguments).last_hidden_state
        return hidden[0, nodes.to(hidden.device)], targets, place

    def _finish(self, started: _Underway, waiting: deque[Pack], not_finite: list[Scored]) -> Iterator[Scored]:
        if started.done is not None:
            started.done.synchronize()
        pack, scores = started.pack, self.head.rewards(started.values[started.place], started.reads)
        lengths = [len(ids) for ids in pack.sequences]
        scored = Scored(pack.conversations, scores, lengths, len(pack), started.size - len(pack))
        if all(map(math.isfinite, scores)):
            yield scored
        elif pack.is_single:
            not_finite.append(scored)
        else:
            # 0 * NaN: what overflows in one conversation spreads to those it shares a pack with, not to those alone
            alone = zip(pack.conversations, pack.sequences, strict=True)
            waiting.extendleft(single for i, ids in alone for single in pack_conversations({i: ids}, self.budget))

    def _halve(self, pack: Pack) -> None:
        """Make packs smaller from here on, this one included.

        Raises:
            UserError: there is a single conversation in it, or other ranks wait for this one in the middle of it.
        """
        size = self._size(pack)
        if (ranks := ranks_within(self.model)) > 1:
            raise OutOfMemory(
                f"out of memory with a pack of {size} tokens on one of {ranks} ranks that compute it together; expected "
                f"fewer: tokens_per_pack={min(self.budget, size) // 2} in --model_args"
            )
        smallest = -(-len(pack) // BLOCK) * BLOCK if self._attention.fixed_shapes else len(pack)
        if pack.is_single and size == smallest:
            raise OutOfMemory(
                f"out of memory with a single conversation of {len(pack)} tokens; expected a shorter one (max_length=… "
                "in --model_args cuts) or more memory (parallelize=True)"
            )
        clear_device_cache(garbage_collection=True)
        self.budget = min(self.budget, size) // 2
        if not self._halved:
            logger.warning(
                "Out of memory with a pack of %d tokens: going on with packs of %d, and fewer if need be; "
                "tokens_per_pack=%d in --model_args spares the attempt.",
                size, self.budget, self.budget,
            )  # fmt: skip
        self._halved = True

    @contextmanager
    def _in_place(self) -> Iterator[None]:
        """Have the model attend to trees for one pack; between packs it is as it was, for its owner and other runs."""
        before = self.model.config._attn_implementation
        self.model.set_attn_implementation(self._attention.registered)
        try:
            with torch.autocast(self.device.type, dtype=self.autocast, enabled=self.autocast is not None):
                if self._layers is None:
                    yield
                else:
                    with self._layers.in_place():
                        yield
        finally:
            self.model.set_attn_implementation(before)
