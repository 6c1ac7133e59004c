"""Value heads: one number from the hidden state of one token, by a linear layer or a small MLP."""

from collections.abc import Callable, Sequence

import torch

from skywork_rb_plugin.errors import UserError
from skywork_rb_plugin.heads.checkpoint import Checkpoint
from skywork_rb_plugin.heads.families.layers import Layers, module, read_layers
from skywork_rb_plugin.heads.family import Family, Loaded
from skywork_rb_plugin.heads.head import Head, only_value
from skywork_rb_plugin.heads.pooling import before_first
from skywork_rb_plugin.rendering.renderer import AsTokenized


class ValueHead(Family):
    """What these have in common; read at the last token, unless a subclass says otherwise.

    Attributes:
        layer: name of its layer, or of its layers.
        biased: whether a bias must be there.
        dtype: what it computes in; None: the model's.
    """

    layer: str
    biased: bool = False
    dtype: torch.dtype | None = None

    def loading(self, checkpoint: Checkpoint) -> dict[str, object]:
        """Nothing further; refuses a head that is not whole, before the decoder is loaded.

        Raises:
            UserError: what is missing, or does not fit.
        """
        self.layers(checkpoint)
        self.reward(checkpoint)
        return {}

    def head(self, loaded: Loaded) -> Head:
        """The layers of the checkpoint at one position."""
        checkpoint = loaded.checkpoint
        return Head(
            f"{self.name} ({checkpoint.architecture})",
            lambda ids: [self.position(ids, loaded)],
            module(loaded, self.layers(checkpoint), self.dtype),
            self.reward(checkpoint),
            self.append(loaded),
            self.dtype,
        )

    def layers(self, checkpoint: Checkpoint) -> Layers:
        """Weights and biases.

        Raises:
            UserError: they are not whole.
        """
        return read_layers(checkpoint, self.layer, self.biased)

    def position(self, ids: Sequence[int], loaded: Loaded) -> int:
        """Index of the token where the number is read."""
        return len(ids) - 1

    def reward(self, checkpoint: Checkpoint) -> Callable[[Sequence[Sequence[float]]], float]:
        """What becomes of the number.

        Raises:
            UserError: the config does not say it.
        """
        return only_value

    def append(self, loaded: Loaded) -> tuple[int, ...]:
        """Token ids that end a conversation."""
        return ()


class Mlp(ValueHead):
    """Two linear layers under the name of a classifier's one; read before the first pad token."""

    name = "mlp"
    models = "INF-ORM, Qwen2.5-Math-RM, WorldPM: a head of two layers, score.0 and score.2"
    source = "allenai/reward-bench, rewardbench/models/inform.py; vLLM, model_executor/models/qwen2_rm.py"
    layer = "score"
    biased = True

    def answers(self, checkpoint: Checkpoint) -> bool:
        """Whether it has such layers; with two outputs they are a step model's."""
        return has_any(checkpoint, "score.0.", "score.2.") and not scores_steps(checkpoint)

    def position(self, ids: Sequence[int], loaded: Loaded) -> int:
        """The token before the first pad token, as of the classes of their time."""
        return before_first(ids, loaded.pad_id)


class Grm(ValueHead):
    """GRM's: linear, or an MLP of as many layers as the config says."""

    name = "grm"
    models = "GRM-*-sftreg and GRM-*-distill: v_head.summary, with vhead_layer_type in config.json"
    source = (
        "allenai/reward-bench, rewardbench/models/grm.py; YangRui2015/Generalizable-Reward-Model, rm_eval/grm_utils.py"
    )
    layer = "v_head.summary"
    biased = True
    renderer = AsTokenized

    def answers(self, checkpoint: Checkpoint) -> bool:
        """Whether the config says how its value head is made."""
        return checkpoint.setting("vhead_layer_type") is not None and has_any(checkpoint, "v_head.")

    def layers(self, checkpoint: Checkpoint) -> Layers:
        """Weights and biases.

        Raises:
            UserError: they are not whole, or others than the config says.
        """
        kind, inner = checkpoint.setting("vhead_layer_type"), checkpoint.setting("vhead_num_layers", 1)
        found = super().layers(checkpoint)
        if len(found) - 1 != (0 if kind == "linear" else inner):
            raise UserError(
                f"found {len(found)} layers of v_head.summary in {checkpoint.name} ({checkpoint.in_words}), expected what "
                f"config.json says: vhead_layer_type={kind}, vhead_num_layers={inner} and the last one"
            )
        return found


def has_any(checkpoint: Checkpoint, *prefixes: str) -> bool:
    """Whether some tensor's name begins with one of these."""
    return any(name.startswith(prefixes) for name in checkpoint.names)


def scores_steps(checkpoint: Checkpoint) -> bool:
    """Whether it is a process reward model by its class, as Qwen2ForProcessRewardModel or Skywork-o1's Qwen2ForPrmModel."""
    return any("process" in name.lower() or "prm" in name.lower() for name in checkpoint.architectures)
