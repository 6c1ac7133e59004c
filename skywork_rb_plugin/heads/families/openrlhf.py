"""Reward models trained with OpenRLHF."""

from collections.abc import Callable, Sequence

from skywork_rb_plugin.conversations import Message
from skywork_rb_plugin.errors import UserError
from skywork_rb_plugin.heads.checkpoint import Checkpoint
from skywork_rb_plugin.heads.families.classifier import by_openrlhf
from skywork_rb_plugin.heads.families.layers import Layers, read_layers
from skywork_rb_plugin.heads.families.value_heads import ValueHead, has_any
from skywork_rb_plugin.heads.head import only_value
from skywork_rb_plugin.rendering.renderer import Renderer


class EndedByEos(Renderer):
    """Conversations end with EOS and no newline, as in OpenRLHF's training (openrlhf/datasets/reward_dataset.py)."""

    def render(self, messages: Sequence[Message], template: str | None = None) -> str:
        """The template's text, with its end as in training."""
        text, eos = super().render(messages, template).rstrip("\n"), self.tokenizer.eos_token
        return text if eos is None or text.endswith(eos) else f"{text} {eos}"


class OpenRLHF(ValueHead):
    """A linear layer by the name that the config says; its number is normalized where the config asks for it."""

    name = "openrlhf"
    models = "OpenRLHF checkpoints: a linear head by the name that config.json has as value_head_prefix"
    source = "OpenRLHF/OpenRLHF, openrlhf/models/model.py, get_llm_for_sequence_regression"
    renderer = EndedByEos

    def answers(self, checkpoint: Checkpoint) -> bool:
        """Whether its config is OpenRLHF's."""
        others = has_any(checkpoint, f"{head_prefix(checkpoint)}.0.", "v_head.", "regression_head.", "score_head.")
        return by_openrlhf(checkpoint) and not others

    def layers(self, checkpoint: Checkpoint) -> Layers:
        """One layer; new checkpoints have no bias."""
        return read_layers(checkpoint, head_prefix(checkpoint))

    def reward(self, checkpoint: Checkpoint) -> Callable[[Sequence[Sequence[float]]], float]:
        """(r - mean) / std, where the config has `normalize_reward`.

        Raises:
            UserError: it has it without a mean and a standard deviation.
        """
        if not checkpoint.setting("normalize_reward"):
            return only_value
        mean, std = checkpoint.setting("mean"), checkpoint.setting("std")
        if not isinstance(mean, (int, float)) or not isinstance(std, (int, float)) or not std > 0:
            raise UserError(
                f"found normalize_reward with mean {mean} and std {std} in config.json of {checkpoint.name}, expected numbers, "
                "std above 0; without normalize_reward rewards are not normalized, and verdicts are the same"
            )
        return lambda values: (only_value(values) - mean) / std


def head_prefix(checkpoint: Checkpoint) -> str:
    """What the names of the layer's tensors begin with."""
    return checkpoint.setting("value_head_prefix") or "score"
