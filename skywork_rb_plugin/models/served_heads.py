"""What a served model's head wants of a conversation, told from the model's config, of which no weights are loaded."""

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import transformers
from huggingface_hub import constants, get_safetensors_metadata

from skywork_rb_plugin.errors import UserError
from skywork_rb_plugin.heads import plugins
from skywork_rb_plugin.heads.checkpoint import Checkpoint
from skywork_rb_plugin.heads.families.classifier import Classifier
from skywork_rb_plugin.heads.families.openrlhf import EndedByEos, OpenRLHF
from skywork_rb_plugin.heads.families.value_heads import Mlp
from skywork_rb_plugin.heads.family import Family
from skywork_rb_plugin.heads.pooling import before_first, pad_id_for_pooling, pooled_index
from skywork_rb_plugin.models.reading import family_of
from skywork_rb_plugin.rendering.as_text import TextRenderer
from skywork_rb_plugin.rendering.renderer import Renderer

logger = logging.getLogger(f"lm_eval.{__name__}")


class _EndedText(TextRenderer, EndedByEos):
    """Both."""


# of families that servers compute: token ids and the pad token -> index of the token that is read
_LAST: Mapping[type[Family], Callable[[Sequence[int], int | None], int]] = {
    Classifier: pooled_index,
    OpenRLHF: lambda ids, pad_id: len(ids) - 1,
    Mlp: before_first,
}


@dataclass(frozen=True)
class ServedHead:
    """What is known of a served model.

    Attributes:
        name: the family's; None where no config was found.
        renderer: makes its conversations.
        read: where it reads them, by token ids and the pad token.
        pad_id: what ends no conversation.
        labels: how many it has.
        vocabulary: how many token ids it knows.
    """

    name: str | None
    renderer: type[Renderer]
    read: Callable[[Sequence[int], int | None], int]
    pad_id: int | None = None
    labels: int | None = None
    vocabulary: int | None = None

    def last(self, ids: Sequence[int]) -> int:
        """Index of the token that is read: nothing after it is sent."""
        return self.read(ids, self.pad_id)


def served_head(name: str | None, revision: str | None, remote: bool, protocol: str, as_text: bool) -> ServedHead:
    """What the head of a served model wants, as hf-reward gives it to the same checkpoint.

    Args:
        name: hub name or folder of the model.
        revision: of it.
        remote: whether code that comes with its config may run.
        protocol: of the server.
        as_text: whether that takes texts.

    Raises:
        UserError: it is no reward model, or no server computes its rewards.
    """
    of_openrlhf = protocol == "openrlhf"
    config = _config(name, revision, remote)
    family = (
        None if config is None else _family(checkpoint := _Listed(name, config, name, files={"revision": revision}))
    )
    if family is None:
        logger.warning(
            "Which head the served model has is not known%s: conversations are sent as the chat template makes them and read at "
            "their last token, as of a plain classifier; if it is another one, take --model hf-reward.",
            "" if config else f", since no config of it was found{f' under {name}' if name else ''}, which pretrained=… would bring",
        )  # fmt: skip
        ended = of_openrlhf
        return ServedHead(None, _renderer(ended, as_text), _LAST[OpenRLHF])
    found = f"found {name} ({checkpoint.architecture}), read by the head {family.name}"
    if type(family) not in _LAST or (of_openrlhf and isinstance(family, Mlp)):
        raise UserError(
            f"{found}, of which a server by {protocol} does not give what its authors compute, expected --model hf-reward for it"
        )
    if isinstance(family, OpenRLHF) and not of_openrlhf and checkpoint.setting("normalize_reward"):
        raise UserError(
            f"{found} with normalize_reward, which servers but OpenRLHF's own leave out, expected --model hf-reward for it"
        )
    return ServedHead(
        family.name,
        _renderer(isinstance(family, OpenRLHF), as_text),
        _LAST[type(family)],
        pad_id_for_pooling(config, None, None, "config"),
        config.num_labels if isinstance(family, Classifier) else 1,
        config.get_text_config().vocab_size,
    )


def _renderer(ended: bool, as_text: bool) -> type[Renderer]:
    if as_text:
        return _EndedText if ended else TextRenderer
    return EndedByEos if ended else Renderer


def _config(name: str | None, revision: str | None, remote: bool) -> transformers.PretrainedConfig | None:
    """None where there is none: a server may name a folder on another machine, or a name of its own."""
    plugins.registered()  # families may bring configs of models that transformers does not know
    try:
        return transformers.AutoConfig.from_pretrained(name, revision=revision or "main", trust_remote_code=remote)
    except Exception:
        # transformers raises all kinds
        return None


def _family(checkpoint: Checkpoint) -> Family | None:
    """None where none answers, and the names of its tensors can't be known."""
    try:
        return family_of(checkpoint, None).family
    except UserError:
        if checkpoint.names:
            raise
        return None


class _Listed(Checkpoint):
    """One of which no weight file is fetched: on the hub the files' headers tell the names of tensors."""

    def _weights(self) -> Mapping[str, str]:
        if Path(self.path).is_dir() or constants.HF_HUB_OFFLINE:
            return super()._weights()
        try:
            return get_safetensors_metadata(self.path, revision=self.revision).weight_map
        except Exception:
            # of any kind, as where there are no such files
            return {}
