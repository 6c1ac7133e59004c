"""What a server's checkpoint wants of a conversation, as far as it can be looked at from here."""

import logging
from collections.abc import Callable, Sequence
from typing import NamedTuple

import transformers

from skywork_rb_plugin.errors import UserError
from skywork_rb_plugin.heads import plugins
from skywork_rb_plugin.heads.checkpoint import Checkpoint
from skywork_rb_plugin.heads.families.classifier import Classifier
from skywork_rb_plugin.heads.families.openrlhf import EndedByEos, OpenRLHF
from skywork_rb_plugin.heads.families.value_heads import Mlp
from skywork_rb_plugin.heads.pooling import pad_id_for_pooling, pooled_index
from skywork_rb_plugin.models.reading import family_of
from skywork_rb_plugin.rendering.as_text import TextRenderer
from skywork_rb_plugin.rendering.renderer import Renderer

logger = logging.getLogger(f"lm_eval.{__name__}")

# whose reward is a number at the last token of the tokenizer's own template, as servers compute it
_SERVED = (Classifier, OpenRLHF, Mlp)


class EndedText(EndedByEos, TextRenderer):
    """The same for what takes texts."""


class Served(NamedTuple):
    """How conversations go to a server.

    Attributes:
        renderer: what makes them.
        last: token ids -> index of the token that hf-reward reads, so that what follows it is left out.
    """

    renderer: type[Renderer]
    last: Callable[[Sequence[int]], int]


def served_head(
    name: str | None, revision: str | None, remote: bool, label: int | None, protocol: str, as_text: bool
) -> Served:
    """What the checkpoint that a server has wants.

    Args:
        name: the folder or hub name that it was loaded from, if it is known.
        revision: of it on the hub.
        remote: whether code that comes with it may run.
        label: the user's.
        protocol: by which it is asked.
        as_text: whether that takes texts.

    Raises:
        UserError: a server gives no reward of it, as of process models, or none for the conversation as it is sent.
    """
    kind = _kind(name, revision, remote, label)
    if kind is None:
        logger.warning(
            "What the server has loaded can't be looked at from here%s: it is taken for a reward model that is read at the last "
            "token of its tokenizer's template%s. One that wants other tokens or another format gets wrong scores: pretrained=… "
            "in --model_args names the checkpoint.",
            f" ({name})" if name else "", ", ended by EOS as OpenRLHF trains" * (protocol == "openrlhf"),
        )  # fmt: skip
    ended = protocol == "openrlhf" if kind is None else isinstance(kind.family, OpenRLHF)
    renderers = {
        (True, True): EndedText,
        (True, False): EndedByEos,
        (False, True): TextRenderer,
        (False, False): Renderer,
    }
    pad_id = (
        pad_id_for_pooling(kind.config, None, None, "config") if kind and isinstance(kind.family, Classifier) else None
    )
    return Served(
        renderers[ended, as_text], lambda ids: pooled_index(ids, pad_id) if pad_id is not None else len(ids) - 1
    )


class _Kind(NamedTuple):
    family: object
    config: transformers.PretrainedConfig


def _kind(name: str | None, revision: str | None, remote: bool, label: int | None) -> _Kind | None:
    """The family that answers to it; None where its config or its weights are not at hand."""
    if name is None:
        return None
    plugins.registered()  # families may bring configs of models that transformers does not know
    try:
        config = transformers.AutoConfig.from_pretrained(name, revision=revision or "main", trust_remote_code=remote)
        options = {} if label is None else {"label": label}
        checkpoint = Checkpoint(name, config, name, options=options, files={"revision": revision})
        if not checkpoint.names:
            return None
    except Exception:
        # transformers raises all kinds; the folder may be the server's own, or hold a tokenizer alone
        return None
    family = family_of(checkpoint, None).family
    if type(family) not in _SERVED:
        raise UserError(
            f"found {name} ({checkpoint.architecture}) on the server, read by the head {family.name}, expected one that is read "
            "at the last token of its tokenizer's own template, as a server does; --model hf-reward reads it"
        )
    return _Kind(family, config)
