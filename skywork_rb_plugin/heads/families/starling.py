"""Starling's reward models and Athene's, by the same people: a linear layer `v_head` without bias."""

from collections.abc import Sequence
from typing import ClassVar

from skywork_rb_plugin.heads.checkpoint import Checkpoint
from skywork_rb_plugin.heads.families.classifier import is_classifier
from skywork_rb_plugin.heads.families.value_heads import ValueHead, has_any
from skywork_rb_plugin.heads.family import Loaded
from skywork_rb_plugin.heads.pooling import before_first
from skywork_rb_plugin.rendering.renderer import AsTokenized

# the ids that their classes have as constants
_STARLING_PAD, _ATHENE_CLS = 0, 128003


class Starling(ValueHead):
    """Read at the token before the first <unk>, which pads.

    The 7B's class means that too, but takes BOS for it, which its tokenizer puts first: alone, a conversation is then read
    at its last token, as here; in a padded batch the reference reads the shorter ones at a pad token.
    """

    name = "starling"
    models = (
        "Starling-RM-34B; Starling-RM-7B-alpha has weights alone: put them as pytorch_model.bin into a folder with config and "
        "tokenizer of Llama-2-7b-chat"
    )
    source = "allenai/reward-bench, rewardbench/models/starling.py"
    layer = "v_head"
    key_mapping: ClassVar[dict[str, str]] = {r"^transformer\.": ""}

    def answers(self, checkpoint: Checkpoint) -> bool:
        """Whether such a head is beside a Llama that is called `transformer`."""
        return checkpoint.has("v_head.weight") and has_any(checkpoint, "transformer.layers.")

    def position(self, ids: Sequence[int], loaded: Loaded) -> int:
        """The token before the first <unk>."""
        return before_first(ids, _STARLING_PAD)


class Athene(ValueHead):
    """Read at a CLS token that ends the conversation."""

    name = "athene"
    models = "Athene-RM-8B and Athene-RM-70B: v_head in a *ForSequenceClassification checkpoint"
    # its class is not in the repository: seen in its card's code, and in allenai/reward-bench, pull request 234
    source = "the card of Nexusflow/Athene-RM-8B"
    layer = "v_head"
    renderer = AsTokenized

    def answers(self, checkpoint: Checkpoint) -> bool:
        """Whether a checkpoint that calls itself a classifier has this head, which transformers' classifiers have not."""
        named = checkpoint.has("v_head.weight") and is_classifier(checkpoint)
        return named and not has_any(checkpoint, "transformer.") and checkpoint.setting("model_type") != "internlm2"

    def append(self, loaded: Loaded) -> tuple[int, ...]:
        """The CLS token."""
        token = loaded.tokenizer.cls_token_id if loaded.tokenizer is not None else None
        return (_ATHENE_CLS if token is None else token,)
