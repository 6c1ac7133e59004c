"""Scores a batch of token sequences, padded to the longest one."""

from collections.abc import Sequence
from typing import Literal

import torch
import transformers

PadRule = Literal["config", "reference"]


def pad_id_for_pooling(
    config: transformers.PretrainedConfig, tokenizer_pad_id: int | None, eos_id: int | None, rule: PadRule
) -> int | None:
    """The token id that pooling skips: a score is read at the rightmost token with another id.

    `config`: the text config's `pad_token_id` (transformers, modeling_layers.py, GenericForSequenceClassification).
    `reference`: EOS where the tokenizer has no pad token, else the config's or, where it has none, the tokenizer's
    (allenai/reward-bench, rewardbench/rewardbench.py); with pad = EOS this pools the token before a final EOS.
    Returns None where no token is skipped: none is named, or one that no text contains, such as -1.
    """
    pad_id = config.get_text_config().pad_token_id
    if rule == "reference":
        pad_id = eos_id if tokenizer_pad_id is None else tokenizer_pad_id if pad_id is None else pad_id
    return None if pad_id is None or not 0 <= pad_id < config.get_text_config().vocab_size else pad_id


def pooled_index(ids: Sequence[int], pad_id: int | None) -> int:
    """Index of the token whose logit is the score."""
    return max((i for i, token in enumerate(ids) if token != pad_id), default=0)


class PaddedScorer:
    """Runs a sequence classifier on batches padded on the right; the model itself pools, by its config's pad id.

    Args:
        model: a classifier with one label.
        pad_id: the id that pooling skips, or None: then every batch is filled up with an id that does not occur in
            it, so that the last real token is pooled.
        autocast: dtype of mixed precision, or None.
    """

    def __init__(self, model: torch.nn.Module, pad_id: int | None, autocast: torch.dtype | None = None) -> None:
        self.model, self.pad_id, self._autocast = model, pad_id, autocast

    @torch.inference_mode()
    def __call__(self, batch: Sequence[Sequence[int]], device: torch.device) -> list[float]:
        """Scores of the sequences, cast to float32 from the model's dtype."""
        filler = self._unused_id(batch) if self.pad_id is None else self.pad_id
        width = max(len(ids) for ids in batch)
        input_ids = torch.full((len(batch), width), filler, dtype=torch.long)
        attention_mask = torch.zeros_like(input_ids)
        for row, ids in enumerate(batch):
            input_ids[row, : len(ids)] = torch.tensor(ids, dtype=torch.long)
            attention_mask[row, : len(ids)] = 1
        config = self.model.config.get_text_config()
        given, config.pad_token_id = config.pad_token_id, filler
        try:
            with torch.autocast(device.type, dtype=self._autocast, enabled=self._autocast is not None):
                logits = self.model(input_ids=input_ids.to(device), attention_mask=attention_mask.to(device)).logits
        finally:
            config.pad_token_id = given  # the model may be the caller's own, or be wrapped again
        return logits.float().reshape(len(batch)).tolist()

    def _unused_id(self, batch: Sequence[Sequence[int]]) -> int:
        used = set().union(*batch)
        return next(i for i in range(len(used) + 1) if i not in used)
