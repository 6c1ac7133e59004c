"""Scores conversations in batches padded to the longest one: the way for models that can't attend to prefix trees."""

import logging
from collections.abc import Callable, Iterator, Sequence
from typing import Literal

import numpy as np
import torch
from accelerate.utils import find_executable_batch_size

from skywork_rb_plugin.errors import UserError
from skywork_rb_plugin.heads.head import Head
from skywork_rb_plugin.host import Collator
from skywork_rb_plugin.scoring.batches import Conversations, Scored
from skywork_rb_plugin.scoring.budget import OutOfMemory, out_of_memory
from skywork_rb_plugin.scoring.causality import looks_ahead, unwrapped

logger = logging.getLogger(f"lm_eval.{__name__}")

Tokens = tuple[int, ...]


class PaddedScorer:
    """Runs a model on batches padded on the right.

    Args:
        model: a model of transformers, or one with an adapter.
        head: how rewards are read off its hidden states; with `own_logits` they are a logit of the model itself, which
            pools by its config's pad id.
        pad_id: the id that pooling skips, or None: then every batch is filled up with an id that does not occur in
            it, so that the last real token is pooled.
        device: where inputs go.
        autocast: dtype of mixed precision, or None.
        batch_size: conversations per batch, or `auto`.
        schedule: with `auto`, how many times to look for the size anew.
        max_batch_size: with `auto`, the largest size tried.
    """

    name = "padded"

    def __init__(
        self,
        model: torch.nn.Module,
        head: Head,
        pad_id: int | None,
        device: torch.device,
        autocast: torch.dtype | None = None,
        batch_size: int | Literal["auto"] = 1,
        schedule: float = 1,
        max_batch_size: int = 64,
    ) -> None:
        self.model, self.head, self.pad_id = model, head, pad_id
        self.device, self.autocast = device, autocast
        self.batch_size, self._schedule, self._max_batch_size = batch_size, schedule, max_batch_size
        self.attention = model.config._attn_implementation
        self.batch_sizes: dict[int, int] = {}  # with `auto`, found so far

    def settings(self) -> dict[str, object]:
        """How it scores, for the results file."""
        return {
            "attention": self.attention,
            "scoring": self.name,
            "tokens_per_pack": None,
            "batch_size": self.batch_size,
            "compiled": False,
        }

    def run(self, conversations: Conversations) -> Iterator[Scored]:
        """Score all conversations, longest first by the host's own collator.

        Raises:
            UserError: memory runs out.
        """
        self.batch_sizes.clear()
        sequences = [
            (ids if isinstance(ids, tuple) else tuple(ids), i)
            for i, ids in enumerate(conversations.encode(range(len(conversations.texts))))
        ]
        collator = Collator(sequences, sort_fn=lambda item: (-len(item[0]), item))
        automatic = self.batch_size == "auto"
        size, scheduler = (0, self._scheduler) if automatic else (int(self.batch_size), None)
        for batch in collator.get_batched(n=size, batch_fn=scheduler):
            if conversations.done >= {i for _, i in batch}:
                continue
            lengths = [len(ids) for ids, _ in batch]
            scores = self._score_or_explain([ids for ids, _ in batch])
            yield Scored([i for _, i in batch], scores, lengths, sum(lengths), len(batch) * max(lengths) - sum(lengths))

    @torch.inference_mode()
    def score(self, batch: Sequence[Sequence[int]]) -> list[float]:
        """Scores of one batch of token ids, cast to float32 from the model's dtype."""
        with self._autocast():
            if self.head.own_logits:
                return self._own_logits(batch)
            reads = list(map(self.head.asked, batch))
            return self._rewards(self._hidden(batch, reads), reads)

    @torch.inference_mode()
    def states(self, ids: Sequence[int]) -> torch.Tensor:
        """The hidden states that the head reads in one conversation, (reads, hidden size) in the model's dtype."""
        with self._autocast():
            return self._hidden([ids], [self.head.asked(ids)])

    @torch.inference_mode()
    def reward_of(self, states: torch.Tensor, ids: Sequence[int]) -> float:
        """The reward that the head makes of these."""
        with self._autocast():
            return self._rewards(states, [self.head.asked(ids)])[0]

    def _rewards(self, states: torch.Tensor, reads: Sequence[np.ndarray]) -> list[float]:
        """The rewards of conversations, from the hidden states of all their reads in a row."""
        targets = torch.from_numpy(np.concatenate(reads)[:, 1])
        return self.head.rewards(self.head.read(states, targets), list(map(len, reads)))

    def _autocast(self) -> torch.autocast:
        return torch.autocast(self.device.type, dtype=self.autocast, enabled=self.autocast is not None)

    def _inputs(self, batch: Sequence[Sequence[int]]) -> dict[str, torch.Tensor]:
        """The batch padded on the right; causal decoders need no mask then, and attend faster without."""
        width = max(len(ids) for ids in batch)
        input_ids = np.full((len(batch), width), self._filler(batch), dtype=np.int64)
        attention_mask = np.zeros_like(input_ids)
        for row, ids in enumerate(batch):
            input_ids[row, : len(ids)] = ids
            attention_mask[row, : len(ids)] = 1
        inputs = {"input_ids": torch.from_numpy(input_ids).to(self.device)}
        if self.head.values is None or looks_ahead(self.model.config.get_text_config()):
            inputs["attention_mask"] = torch.from_numpy(attention_mask).to(self.device)
        if any(getattr(ids, "types", ()) for ids in batch):
            types = np.zeros_like(input_ids)
            for row, ids in enumerate(batch):
                types[row, : len(ids)] = ids.types
            inputs["token_type_ids"] = torch.from_numpy(types).to(self.device)
        return inputs

    def _own_logits(self, batch: Sequence[Sequence[int]]) -> list[float]:
        config = self.model.config.get_text_config()
        # a key-value cache of 64 conversations of 2048 tokens would be 16 GiB with Llama-3.1-8B; encoders have none
        wanted = {"pad_token_id": self._filler(batch), **({"use_cache": False} if hasattr(config, "use_cache") else {})}
        given = {name: getattr(config, name) for name in wanted}
        try:
            for name, value in wanted.items():
                setattr(config, name, value)
            logits = self.model(**self._inputs(batch)).logits
        finally:
            for name, value in given.items():  # the model may be the caller's own, or be wrapped again
                setattr(config, name, value)
        if logits.shape[0] != len(batch) or (self.head.label is None and logits.numel() != len(batch)):
            raise UserError(
                f"found logits of the shape {tuple(logits.shape)} for {len(batch)} conversations, expected a reward model, "
                "with one for each"
            )
        return (logits if self.head.label is None else logits[:, self.head.label]).float().flatten().tolist()

    def _hidden(self, batch: Sequence[Sequence[int]], reads: Sequence[np.ndarray]) -> torch.Tensor:
        """The hidden states that the head reads, one conversation's after another's."""
        model, inputs = unwrapped(self.model).base_model, self._inputs(batch)
        if getattr(model.config, "is_encoder_decoder", False):  # what it begins its answer with
            start = model.config.decoder_start_token_id
            inputs["decoder_input_ids"] = torch.full((len(batch), 1), start, device=self.device)
        if hasattr(model.config, "use_cache"):
            inputs["use_cache"] = False
        hidden = model(**inputs).last_hidden_state
        rows = np.repeat(np.arange(len(reads)), list(map(len, reads)))
        return hidden[torch.from_numpy(rows), torch.from_numpy(np.concatenate(reads)[:, 0])]

    def _score_or_explain(self, batch: list[Tokens]) -> list[float]:
        try:
            return self.score(batch)
        except RuntimeError as error:
            if not out_of_memory(error):
                raise
            raise OutOfMemory(
                f"out of memory with {len(batch)} conversations of up to {len(batch[0])} tokens; expected a smaller "
                "--batch_size (or auto)"
            ) from error

    def _scheduler(self, position: int, sequences: Sequence[tuple[Tokens, int]]) -> int:
        """The size of the next batch for `--batch_size auto` and `auto:N`, as the host finds it, with few items too.

        Each rank finds its own: one whose answers all come from a cache is not there to agree with.
        """
        section = position // max(1, int(len(sequences) / self._schedule))
        if section not in self.batch_sizes:
            self.batch_sizes[section] = _largest(
                lambda size: self.score([sequences[position][0]] * size), self._max_batch_size
            )
            logger.info("Batches of %d conversations from number %d on.", self.batch_sizes[section], position)
        return self.batch_sizes[section]

    def _filler(self, batch: Sequence[Sequence[int]]) -> int:
        """The id that batches are filled up with: the one that pooling skips, or one that does not occur."""
        if self.pad_id is not None:
            return self.pad_id
        used = set().union(*batch)
        return next(i for i in range(len(used) + 1) if i not in used)


def _largest(attempt: Callable[[int], object], most: int) -> int:
    """The largest batch size, halving from `most`, at which the attempt does not run out of memory; at least 1."""

    @find_executable_batch_size(starting_batch_size=most)
    def found(batch_size: int) -> int:
        try:
            attempt(batch_size)
        except RuntimeError as error:
            if not out_of_memory(error):
                raise
            raise torch.OutOfMemoryError("CUDA out of memory.") from error  # in words that accelerate knows
        return batch_size

    try:
        return found()
    except RuntimeError as error:
        if "No executable batch size found" not in str(error):
            raise
        return 1
