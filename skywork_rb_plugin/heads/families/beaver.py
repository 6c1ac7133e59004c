"""PKU's Beaver: reward models, and cost models, whose numbers grow with harm."""

from collections.abc import Callable, Sequence

from skywork_rb_plugin.errors import UserError
from skywork_rb_plugin.heads.checkpoint import Checkpoint
from skywork_rb_plugin.heads.families.layers import Layers, read_layers
from skywork_rb_plugin.heads.families.value_heads import ValueHead, has_any
from skywork_rb_plugin.heads.head import only_value

_EPSILON = 1e-8
# beginnings of other families' heads
_OTHERS = ("score.", "v_head.", "regression_head.")
_SCORE_TYPES = ("reward", "cost", "critic")


class Beaver(ValueHead):
    """A linear layer, normalized where the config asks for it; a cost is negated, so that more is better."""

    name = "beaver"
    models = "beaver-7b-v1.0 and v2.0, reward and cost: score_head, with their own text format; a cost is negated"
    source = (
        "allenai/reward-bench, rewardbench/models/beaver.py; the text format from PKU-Alignment/safe-rlhf, "
        "safe_rlhf/datasets/preference.py and safe_rlhf/configs/constants.py"
    )
    layer = "score_head"
    # allenai/reward-bench puts a blank after ASSISTANT: and another before EOS
    template = (
        "{{ 'BEGINNING OF CONVERSATION: ' }}{% for message in messages %}"
        "{% if message['role'] == 'user' %}{{ 'USER: ' + message['content'] + ' ' }}"
        "{% elif message['role'] == 'assistant' %}{{ 'ASSISTANT:' + message['content'] + eos_token }}"
        "{% else %}{{ raise_exception('Beaver knows only user and assistant') }}{% endif %}{% endfor %}"
    )

    def answers(self, checkpoint: Checkpoint) -> bool:
        """Whether it has this head or its class."""
        named = "LlamaForScore" in checkpoint.architectures and not has_any(checkpoint, *_OTHERS)
        return checkpoint.has("score_head.weight") or named

    def layers(self, checkpoint: Checkpoint) -> Layers:
        """With a bias where the config says so."""
        return read_layers(checkpoint, self.layer, bool(checkpoint.setting("bias", False)))

    def reward(self, checkpoint: Checkpoint) -> Callable[[Sequence[Sequence[float]]], float]:
        """A reward (r - mean) / std, a cost -c / std; without `do_normalize` as it is, a cost negated.

        Raises:
            UserError: the config has another kind of score.
        """
        kind, normalize = checkpoint.setting("score_type", "reward"), checkpoint.setting("do_normalize", False)
        if kind not in _SCORE_TYPES:
            raise UserError(
                f"found score_type {kind!r} in config.json of {checkpoint.name}, expected {', '.join(_SCORE_TYPES)}: whether "
                "more of it is better"
            )
        mean, std = _statistic(checkpoint, "mean", 0.0), _statistic(checkpoint, "var", 1.0) ** 0.5
        if checkpoint.has("normalizer.count"):
            checkpoint.tensor("normalizer.count")  # belongs to it; only training reads it
        shift = mean if normalize and kind == "reward" else 0.0
        scale = std + _EPSILON if normalize and kind != "critic" else 1.0
        sign = -1.0 if kind == "cost" else 1.0
        return lambda values: sign * (only_value(values) - shift) / scale


def _statistic(checkpoint: Checkpoint, name: str, default: float) -> float:
    """Of the normalizer: its buffer in the checkpoint, else the config's list of one number, else the default."""
    stored = checkpoint.tensor(f"normalizer.{name}").tolist() if checkpoint.has(f"normalizer.{name}") else None
    value = checkpoint.setting(name) if stored is None else stored
    value = value[0] if isinstance(value, list) and len(value) == 1 else default if value is None else value
    if not isinstance(value, (int, float)) or (name == "var" and value < 0):
        raise UserError(
            f"found {name} {value!r} of the normalizer of {checkpoint.name}, expected one number in normalizer.{name} or "
            "config.json"
        )
    return float(value)
