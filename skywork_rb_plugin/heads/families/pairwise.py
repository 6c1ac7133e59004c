"""Models that compare two responses: PairRM, Better-PairRM, SteamSHP and RLHFlow's pair preference model."""

import math
from collections.abc import Callable, Sequence
from types import MappingProxyType

import torch

from skywork_rb_plugin.errors import UserError
from skywork_rb_plugin.heads.checkpoint import Checkpoint
from skywork_rb_plugin.heads.families.lm_head import logits_of
from skywork_rb_plugin.heads.family import Family, Loaded
from skywork_rb_plugin.heads.head import Head
from skywork_rb_plugin.heads.naming import own_name
from skywork_rb_plugin.rendering.comparison import (
    BetterPairRMFormat,
    PairPreferenceFormat,
    PairRMFormat,
    SteamSHPFormat,
)


class PairRM(Family):
    """An MLP of two hidden states, at the prefix of the source and at that of a candidate; the difference of both candidates'.

    The verdict is the reference's: log-odds above 0, of the mean of both orders.
    """

    name = "pairrm"
    models = "llm-blender/PairRM-hf"
    source = (
        "allenai/reward-bench, rewardbench/models/pairrm.py, DebertaV2PairRM and PairRMPipeline; "
        "yuchenlin/LLM-Blender, llm_blender/pair_ranker/pairrm.py"
    )
    key_mapping = MappingProxyType({r"^pretrained_model\.": ""})
    renderer = PairRMFormat
    compares = True
    length = PairRMFormat.total

    def answers(self, checkpoint: Checkpoint) -> bool:
        """Whether its architecture is PairRM's, or its config that of the repository without transformers' names."""
        own = "DebertaV2PairRM" in checkpoint.architectures or checkpoint.setting("ranker_type") == "pairranker"
        return own and not _is_better(checkpoint)

    def loading(self, checkpoint: Checkpoint) -> dict[str, object]:
        """Nothing more.

        Raises:
            UserError: the config is of LLM-Blender's own format.
        """
        if checkpoint.setting("ranker_type"):
            raise UserError(
                f"found the config of LLM-Blender's own loader in {checkpoint.name}, expected the same model in transformers' "
                "format: pretrained=llm-blender/PairRM-hf in --model_args"
            )
        return {}

    def head(self, loaded: Loaded) -> Head:
        """Both layers: the first is linear in the two states, so that each read gives its share of it."""
        ids = [loaded.checkpoint.setting(f"{name}_prefix_id") for name in ("source", "cand1", "cand2")]
        for text, expected in zip(("<|source|>", "<|candidate1|>", "<|candidate2|>"), ids, strict=True):
            if (found := loaded.token(text)) != expected:
                raise UserError(
                    f"found token id {found} for {text} in the tokenizer of {loaded.checkpoint.name}, expected {expected} "
                    "as in its config.json: is tokenizer=… another model's?"
                )
        first, second = loaded.linear("head_layer.1"), loaded.linear("head_layer.4", torch.float32)
        size = loaded.inner.config.hidden_size
        if first.weight.shape[1] != 2 * size or first.bias is None:
            raise UserError(
                f"found head_layer.1 of the shape {tuple(first.weight.shape)} in {loaded.checkpoint.name}, expected "
                f"{(size, 2 * size)} and a bias: {self.models}"
            )
        shares = torch.cat(first.weight.split(size, dim=1))
        bias, second = first.bias.float().cpu(), second.cpu()

        def difference(reads: Sequence[Sequence[float]]) -> float:
            (source, _), *candidates = torch.tensor(reads).reshape(3, 2, -1)
            one, other = (second(torch.tanh(source + own + bias)) for _, own in candidates)
            return float((one - other).mean())

        return Head(self.name, lambda ids: ids.marks, lambda hidden: hidden @ shares.T, torch.no_grad()(difference))


class BetterPairRM(PairRM):
    """The same head; the text is put otherwise. Its config is PairRM's, so that it is known by its name alone."""

    name = "better-pairrm"
    models = "mightbe/Better-PairRM, by its name"
    source = "allenai/reward-bench, rewardbench/models/betterpairrm.py"
    renderer = BetterPairRMFormat
    length = BetterPairRMFormat.total

    def answers(self, checkpoint: Checkpoint) -> bool:
        """Whether its architecture is PairRM's and it is called so."""
        return "DebertaV2PairRM" in checkpoint.architectures and _is_better(checkpoint)


class _Letters(Family):
    """Answers A or B with its next token; their two logits are compared.

    The two orders' probabilities are averaged, as in allenai/reward-bench, rewardbench/models/slicpairpm.py: log-odds of
    their mean are above 0 exactly where it is above 1/2.
    """

    compares = True

    def letters(
        self,
        logits: Callable[[torch.Tensor], torch.Tensor],
        positions: Callable[[Sequence[int]], Sequence[int]],
    ) -> Head:
        """The logit of A minus that of B, of what makes both of hidden states, read at these positions."""
        return Head(self.name, positions, logits, lambda reads: reads[0][0] - reads[0][1])

    def log_odds(self, first: float, swapped: float) -> float:
        """Of the mean probability, where no probability is rounded to 0 or 1."""
        return _log_mean(first, -swapped) - _log_mean(-first, swapped)


class PairPreference(_Letters):
    """A language model by its config, so that it is known by its name alone."""

    name = "pair-preference"
    models = "RLHFlow/pair-preference-model-LLaMA3-8B, by its name"
    source = "allenai/reward-bench, rewardbench/models/slicpairpm.py, SlicPairPMPipeline; the model's card"
    renderer = PairPreferenceFormat
    auto_class = "AutoModelForCausalLM"

    def answers(self, checkpoint: Checkpoint) -> bool:
        """Whether it is a causal language model that is called so."""
        return _is_called("pair-preference", checkpoint) and "ForCausalLM" in checkpoint.architecture

    def head(self, loaded: Loaded) -> Head:
        """Read at the last token."""
        return self.letters(logits_of(loaded, _tokens(loaded)), lambda ids: [len(ids) - 1])


class SteamSHP(_Letters):
    """A T5 by its config, so that it is known by its name alone.

    allenai/reward-bench asks it in one order, drawn at random for each pair; here it is asked in both.
    """

    name = "steamshp"
    models = "stanfordnlp/SteamSHP-flan-t5-large and -xl, by their names"
    source = "the card of stanfordnlp/SteamSHP-flan-t5-xl; allenai/reward-bench, rewardbench/models/shp.py, SHPPipeline"
    renderer = SteamSHPFormat
    length = 2048  # as in allenai/reward-bench, scripts/run_rm.py; its distances have no limit

    def answers(self, checkpoint: Checkpoint) -> bool:
        """Whether it is a T5 that is called so."""
        return _is_called("steamshp", checkpoint) and "T5ForConditionalGeneration" in checkpoint.architectures

    def loading(self, checkpoint: Checkpoint) -> dict[str, object]:
        """Nothing further.

        Raises:
            UserError: the checkpoint is no T5.
        """
        if not checkpoint.setting("is_encoder_decoder"):
            raise UserError(
                f"found {checkpoint.name} ({checkpoint.architecture}) with head=steamshp, expected a T5: {self.models}"
            )
        return {}

    def head(self, loaded: Loaded) -> Head:
        """Read at the decoder's first token.

        Where the vocabulary's head is the embedding, hidden states are scaled (transformers, modeling_t5.py,
        T5ForConditionalGeneration.forward).

        Raises:
            UserError: the checkpoint lacks the rows of A and B.
        """
        config, name = loaded.inner.config, "lm_head.weight"
        # transformers 5 calls all of them tied, and keeps what the config said under another name
        tied = getattr(config, "scale_decoder_outputs", config.tie_word_embeddings)
        own = loaded.checkpoint.has(name) or not tied
        weight = loaded.checkpoint.tensor(name) if own else loaded.inner.get_input_embeddings().weight.detach()
        rows, scale = loaded.place(weight[_tokens(loaded)]), config.d_model**-0.5 if tied else 1.0
        return self.letters(lambda hidden: (hidden * scale) @ rows.T, lambda ids: [0])


def _tokens(loaded: Loaded) -> list[int]:
    """Of the two answers."""
    return [loaded.token("A"), loaded.token("B")]


def _is_called(name: str, checkpoint: Checkpoint) -> bool:
    return name in own_name(checkpoint).lower()


def _is_better(checkpoint: Checkpoint) -> bool:
    return _is_called("better-pairrm", checkpoint)


def _log_mean(one: float, other: float) -> float:
    """The logarithm of twice the mean of two probabilities, given by their log-odds."""
    logs = sorted(-_softplus(-odds) for odds in (one, other))
    return logs[1] + math.log1p(math.exp(logs[0] - logs[1]))


def _softplus(x: float) -> float:
    return max(x, 0) + math.log1p(math.exp(-abs(x)))
