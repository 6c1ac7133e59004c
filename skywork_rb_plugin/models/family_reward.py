"""FamilyReward: what hf-reward and vllm-reward share: rewards that the head of a family reads."""

import logging
from collections.abc import Mapping, Sequence

import transformers

from skywork_rb_plugin.heads import plugins
from skywork_rb_plugin.heads.checkpoint import Checkpoint
from skywork_rb_plugin.heads.family import Loaded
from skywork_rb_plugin.heads.head import Head
from skywork_rb_plugin.heads.pooling import PadRule, pad_id_for_pooling
from skywork_rb_plugin.models.reading import refuse_unused
from skywork_rb_plugin.models.reward_lm import RewardLM
from skywork_rb_plugin.rendering.renderer import Renderer

logger = logging.getLogger(f"lm_eval.{__name__}")


class FamilyReward(RewardLM):
    """A reward model that a family answers to. A backend finds these, in this order:

    Attributes:
        checkpoint: what is read.
        family: what reads it, and the package that it comes from.
    """

    checkpoint: Checkpoint
    family: plugins.Registered
    _head: Head
    _pad_rule: PadRule

    def renderer_for(
        self,
        tokenizer: transformers.PreTrainedTokenizerBase,
        chat_template: str | None,
        template_args: Mapping | None,
        length: int,
    ) -> Renderer:
        """What makes text and token ids of conversations; the user's template goes before the family's.

        Raises:
            UserError: there is no such template.
        """
        family = self.family.family
        template = family.template if chat_template is None else chat_template
        return family.renderer(tokenizer, template, template_args or {}, length, self.checkpoint.name)

    def pad_id(self, config: transformers.PretrainedConfig, own: int | None, rule: PadRule | None = None) -> int | None:
        """The token id that is skipped at a conversation's end.

        Args:
            config: the model's.
            own: the tokenizer's own pad token.
            rule: by default the user's.
        """
        return pad_id_for_pooling(config, own, self.renderer.tokenizer.eos_token_id, rule or self._pad_rule)

    def take(self, head: Head, loaded: Loaded, own: int | None, ids: Sequence[int]) -> None:
        """Read rewards by a head, once it is made.

        Args:
            head: the head.
            loaded: what it was made of.
            own: the tokenizer's own pad token.
            ids: of a conversation to try it with.

        Raises:
            UserError: it has no use for an option that was given.
        """
        self._head = head
        refuse_unused(self.checkpoint, self.family.family.name)
        self._warn_of_padding(loaded, own, ids)
        self.renderer.append = head.append

    def _warn_of_padding(self, loaded: Loaded, own: int | None, ids: Sequence[int]) -> None:
        """Say where the reference implementation would read, if it is another token."""
        here, pad_id = self._head.reads(ids), loaded.pad_id
        loaded.pad_id = other = self.pad_id(loaded.inner.config, own, "reference")  # not all heads go by it
        there = self._head.reads(ids)
        loaded.pad_id = pad_id
        if here != there:
            decode = self.renderer.tokenizer.decode
            logger.warning(
                "Scores of %s are read at %r (pad token of the config: %s). The reference implementation takes pad token "
                "%s from the tokenizer and reads them at %r; pad_rule=reference imitates it.",
                self.checkpoint.name, decode(ids[here[-1]]), pad_id, other, decode(ids[there[-1]]),
            )  # fmt: skip

    @property
    def steps(self) -> str | None:
        """How the scores of steps become one reward; None for a head that scores none."""
        return self._head.steps

    def head_name(self) -> str:
        """The head and, of a plugin's, where it comes from."""
        origin = "" if self.family.origin == plugins.BUILT_IN else f" ({self.family.origin})"
        return f"{self._head.name}{origin}"
