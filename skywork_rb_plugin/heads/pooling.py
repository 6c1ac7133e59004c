"""Which token of a conversation its score is read from."""

from collections.abc import Sequence
from typing import Literal

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


def before_first(ids: Sequence[int], pad_id: int | None) -> int:
    """Index of the token before the first pad token; the last one where there is none, or nothing before it.

    As many classes of the time before transformers 4.40 look for the end of a conversation that is padded on the right.
    """
    first = ids.index(pad_id) if pad_id in ids else len(ids)
    return (first - 1) % len(ids)
