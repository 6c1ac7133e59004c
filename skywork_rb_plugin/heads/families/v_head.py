"""Value heads called v_head, of trl's and LLaMA-Factory's training and of whoever names theirs so."""

from typing import ClassVar

import torch

from skywork_rb_plugin.heads.checkpoint import Checkpoint
from skywork_rb_plugin.heads.families.internlm2 import InternLM2
from skywork_rb_plugin.heads.families.layers import Layers, read_layers
from skywork_rb_plugin.heads.families.starling import Athene, Starling
from skywork_rb_plugin.heads.families.value_heads import Grm, ValueHead, has_any, scores_steps

_MORE_SPECIAL = (Grm, Starling, Athene, InternLM2)


class VHead(ValueHead):
    """A value head beside a causal language model, in a file with it or in one of its own, or beside a LoRA adapter.

    It computes in float32, as where trl and LLaMA-Factory load it, whatever the model does.
    """

    name = "v-head"
    models = (
        "trl and LLaMA-Factory: v_head.summary in the model's own files, in value_head.safetensors or value_head.bin, or "
        "beside an adapter (peft=…); and any other v_head"
    )
    source = (
        "huggingface/trl, trl/experimental/ppo/modeling_value_head.py; hiyouga/LLaMA-Factory, "
        "src/llamafactory/train/rm/trainer.py and train/callbacks.py"
    )
    dtype = torch.float32
    # under DeepSpeed ZeRO-3 the whole model is saved with its wrapper's prefix
    key_mapping: ClassVar[dict[str, str]] = {r"^pretrained_model\.(?:model\.)?": ""}

    def answers(self, checkpoint: Checkpoint) -> bool:
        """Whether it has a v_head that no more special family reads."""
        others = any(family().answers(checkpoint) for family in _MORE_SPECIAL)
        return has_any(checkpoint, "v_head.") and not others and not scores_steps(checkpoint)

    def layers(self, checkpoint: Checkpoint) -> Layers:
        """`v_head.summary`, which has a bias, or `v_head` itself, which may have one."""
        bare = checkpoint.has("v_head.weight")
        return read_layers(checkpoint, "v_head" if bare else "v_head.summary", biased=not bare)
