"""The likelihood of a response under a language model, as a head: of each of its tokens, read at the token before."""

import numbers
from collections.abc import Sequence

import torch
import transformers

from skywork_rb_plugin.errors import UserError
from skywork_rb_plugin.heads.checkpoint import Checkpoint
from skywork_rb_plugin.heads.family import Family, Loaded
from skywork_rb_plugin.heads.head import Head

# of the logits over a vocabulary, in float32: with 128,256 tokens some 520 reads at a time
_BYTES_AT_ONCE = 2**28

# one number of the log-probabilities of a response's tokens, by the name that --model_args has for it
REDUCTIONS = {
    "sum": sum,
    "avg": lambda values: sum(values) / len(values),
    "norm": lambda values: -(sum(value * value for value in values) ** 0.5),
}


class Policy(Family):
    """A causal language model, whose reward is one number of the log-probabilities of the response's tokens.

    Args:
        reduction: a key of REDUCTIONS.
        beta: factor of that number.
    """

    name = "policy"
    models = "a causal language model, such as a policy trained by DPO"
    source = "allenai/reward-bench, rewardbench/dpo.py, DPOInference.get_batch_logps"
    auto_class = "AutoModelForCausalLM"
    remote_code = True

    def __init__(self, reduction: str = "sum", beta: float = 1.0) -> None:
        self._reduction, self._beta = reduction, beta

    def answers(self, checkpoint: Checkpoint) -> bool:
        """Never by itself: a checkpoint does not tell whether it is meant as a reward model."""
        return False

    def loading(self, checkpoint: Checkpoint) -> dict[str, object]:
        """Nothing further.

        Raises:
            UserError: the checkpoint is a classifier.
        """
        if any("Classification" in name or "RewardModel" in name for name in checkpoint.architectures):
            raise UserError(
                f"found {checkpoint.name} ({checkpoint.architecture}), expected {self.models}; --model hf-reward scores reward "
                "models"
            )
        return {}

    def head(self, loaded: Loaded) -> Head:
        """Reads the token before each token of the response, whose beginning the token ids' mark says."""
        reduce, beta = REDUCTIONS[self._reduction], self._beta
        return Head(
            f"log-probabilities of the response's tokens, {self._reduction}",
            lambda ids: range(_start(ids) - 1, len(ids) - 1),
            NextTokens(loaded.inner),
            lambda values: beta * reduce([value for [value] in values]),
            targets=lambda ids: ids[_start(ids) :],
        )


def _start(ids: Sequence[int]) -> int:
    """Index of the response's first token, or of the first that has one before it, where the cut took more."""
    return max([1, *ids.marks])


class NextTokens:
    """Hidden states (reads, hidden size) and next tokens (reads,) -> log-probabilities (reads, 1), in float32.

    The logits over the whole vocabulary exist for some reads at a time, and are the model's own: `lm_head` with its bias,
    scaled and soft-capped as the config says (transformers: `final_logit_softcapping` in models/gemma2/modeling_gemma2.py,
    `logits_scaling` in models/granite, `logit_scale` in models/cohere).

    Args:
        model: a causal language model.
        bytes_at_once: of logits.

    Raises:
        UserError: it has no `lm_head`.
    """

    def __init__(self, model: transformers.PreTrainedModel, bytes_at_once: int = _BYTES_AT_ONCE) -> None:
        self._lm_head = model.get_output_embeddings()
        if self._lm_head is None:
            raise UserError(
                f"found {type(model).__name__}, which gives no logits over a vocabulary; expected {Policy.models}"
            )
        config = model.config.get_text_config()
        self._at_once = max(1, bytes_at_once // (4 * config.vocab_size))
        factor, divisor = (getattr(config, name, None) or 1 for name in ("logit_scale", "logits_scaling"))
        self._scale = factor / divisor if isinstance(factor, numbers.Real) else 1  # MPT's is a word
        self._cap = getattr(config, "final_logit_softcapping", None)

    def __call__(self, hidden: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        """Some reads after others."""
        pieces = zip(hidden.split(self._at_once), targets.split(self._at_once), strict=True)
        return torch.cat([self._some(*piece) for piece in pieces])

    def _some(self, hidden: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        logits = self._lm_head(hidden)
        if self._scale != 1:
            logits = logits * self._scale
        if self._cap is not None:
            logits = self._cap * torch.tanh(logits / self._cap)
        logits = logits.float()
        return logits.gather(-1, targets.to(logits.device)[:, None]) - logits.logsumexp(-1, keepdim=True)


@torch.inference_mode()
def check_logits(
    model: torch.nn.Module, head: Head, states: torch.Tensor, ids: Sequence[int], autocast: torch.dtype | None = None
) -> None:
    """Check that the head makes of hidden states the log-probabilities that the model itself gives.

    Args:
        model: the model, or the adapter around it.
        head: a Policy's.
        states: the hidden states of one conversation's reads, (reads, hidden size).
        ids: the conversation.
        autocast: dtype of mixed precision, or None.

    Raises:
        UserError: it does not: the model does more with its logits than is known here.
    """
    positions, targets = torch.from_numpy(head.asked(ids)).T
    with torch.autocast(states.device.type, dtype=autocast, enabled=autocast is not None):
        logits = model(torch.tensor([list(ids)], device=states.device), use_cache=False).logits[0]
        found = head.read(states, targets)[:, 0].cpu()
    own = logits.float().log_softmax(-1)[positions, targets].cpu()
    # both round one sum to this dtype
    tolerance = 4 * torch.finfo(autocast or model.dtype).eps * own.abs().max() + 1e-4
    off = (found - own).abs().max()
    if not off <= tolerance and own.isfinite().all():
        raise UserError(
            f"the logits of {type(model).__name__} are more than its lm_head makes of hidden states: log-probabilities differ by "
            f"{off:.2g}; expected a model with a plain lm_head, or one like Gemma-2, Granite or Cohere"
        )
