"""hf-reward: a Hugging Face reward model of any family that a head is known for."""

import logging
import os
from collections.abc import Sequence
from typing import Literal

import torch
import transformers

from skywork_rb_plugin.heads import plugins
from skywork_rb_plugin.heads.checkpoint import Checkpoint
from skywork_rb_plugin.heads.family import Loaded
from skywork_rb_plugin.heads.loader import FamilyLoader
from skywork_rb_plugin.heads.pooling import PadRule
from skywork_rb_plugin.models.as_published import known_run
from skywork_rb_plugin.models.family_reward import FamilyReward
from skywork_rb_plugin.models.hf_backend import HFBackend, modes_kept
from skywork_rb_plugin.models.options import check_length, plain, positions_of
from skywork_rb_plugin.models.reading import family_of
from skywork_rb_plugin.scoring.choice import Scoring, choose_scorer
from skywork_rb_plugin.scoring.padded import PaddedScorer

logger = logging.getLogger(f"lm_eval.{__name__}")


class HFReward(FamilyReward, HFBackend):
    """`--model hf-reward`: scores `(conversation, response)` with a reward model, by the head that its checkpoint has.

    Takes every loading option of the host's `hf` (dtype, revision, device, parallelize, peft, quantisation,
    attn_implementation, trust_remote_code, tokenizer, max_length, batch_size, chat_template_args, …) and:

    Args:
        pretrained: hub name, folder or loaded model; `demo` is the small model packaged with this plugin.
        head: name of the head that reads it, as `info` lists them; default: the one that answers to the checkpoint.
        label: of a classifier with several labels, the number or name of the one whose logit is the reward.
        steps: of a model that scores steps, how they become one reward: `last`, `min`, `product` or `mean`; default: as its
            authors do.
        chat_template: a Jinja file, or the name of one of the tokenizer's templates; default: the head's own format where
            it has one, else the tokenizer's own template.
        pad_rule: `config` reads rewards before the config's pad token, as transformers does; `reference` takes the pad token
            that allenai/reward-bench takes, in some cases the tokenizer's.
        scoring: `tree` computes tokens that conversations share once; `padded` takes batches of `batch_size`; `auto`
            means `tree` where the model can.
        tokens_per_pack: budget of `tree`, or `auto` to go by the device and its free memory.
        compile: whether `tree` compiles the layers of the model.
        device: as of `--device`; default: CUDA where there is one, else the CPU.

    Raises:
        UserError: the checkpoint is no reward model, has no chat template, or can't run as asked.
    """

    # whether its models compare two responses
    compares = False
    # told apart from a language model's by the host
    AUTO_MODEL_CLASS = transformers.AutoModelForSequenceClassification

    def __init__(
        self,
        pretrained: str | os.PathLike | transformers.PreTrainedModel | None = None,
        head: str | None = None,
        label: int | str | None = None,
        steps: str | None = None,
        chat_template: str | None = None,
        pad_rule: PadRule = "config",
        scoring: Scoring = "auto",
        tokens_per_pack: int | Literal["auto"] = "auto",
        compile: bool = False,
        device: str | torch.device | None = None,
        **kwargs,
    ) -> None:
        self.check_options(
            {
                "pretrained": pretrained, "head": head, "label": label, "steps": steps, "chat_template": chat_template,
                "pad_rule": pad_rule, "scoring": scoring, "tokens_per_pack": tokens_per_pack, "compile": compile,
                "device": device, **kwargs,
            }
        )  # fmt: skip
        self._scoring, self._pad_rule = scoring, pad_rule
        self._wanted_head, self._head_options = head, {"label": label, "steps": steps}
        tokens_per_pack = plain(tokens_per_pack)
        # the host puts a model that came loaded into evaluation mode
        with modes_kept(pretrained if isinstance(pretrained, torch.nn.Module) else None):
            self.load(pretrained, device, kwargs)
            check_length(self._wanted_length, positions_of(self.model) or 0, self._name)
            if not isinstance(pretrained, (str, os.PathLike)):
                self.checkpoint = Checkpoint(
                    self._name, self.model.config, model=self.model, options=self._head_options
                )
                self.family = family_of(self.checkpoint, self._wanted_head, self.compares)
            renderer = self.renderer_for(self.tokenizer, chat_template, self.chat_template_args, self.max_length)
            self.render_with(renderer, chat_template)
            pad_id = self.pad_id(self.model.config, self._own_pad_id)
            loaded = Loaded(self.checkpoint, self.model, self.tokenizer, pad_id)
            head = self.family.family.head(loaded)
            if hasattr(self, "_loader"):
                self._loader.say_unread()
            self.take(head, loaded, self._own_pad_id, self._probe.encode([0])[0])
            self.padded = PaddedScorer(
                self.model, self._head, pad_id, self.device, self.mixed_precision_dtype,
                self.batch_size if self.batch_size == "auto" else int(self.batch_size), self.batch_schedule,
                self.max_batch_size,
            )  # fmt: skip
            self.scorer = choose_scorer(
                self.padded, self._probe, scoring, self._requested_attention, tokens_per_pack, compile, self.max_length
            )
        self.batch_sizes = self.padded.batch_sizes  # for the results file
        logger.info("Rewards of %s are read by the head %s.", self._name, self.head_name())
        if not (self.peft or self.delta):  # what an adapter makes of a model is another one
            names = (self._name, getattr(self.model.config, "_name_or_path", None) or "")
            self.known = known_run(
                names, self.revision, type(self), self.renderer, self.probes[0], head=self.family.family.name,
                dtype=str(self.model.dtype).removeprefix("torch."), attention=self.scorer.attention,
            )  # fmt: skip

    def _get_config(self, pretrained: str, **kwargs) -> None:
        plugins.registered()  # families may bring configs of models that transformers does not know
        super()._get_config(pretrained, **kwargs)

    @property
    def max_length(self) -> int:
        """The user's, else the family's, else what the model says it can read and has room for."""
        length = super().max_length
        if self._wanted_length:
            return length
        return self.family.family.length or min(length, positions_of(self.model) or length)

    def loader(self, adapter: str | None, revision: str | None) -> FamilyLoader:
        """Of the family that answers to the checkpoint."""
        self.checkpoint = Checkpoint(
            self._name, self.config, self._name, adapter=adapter, options=self._head_options,
            files={**self._files, "revision": revision},
        )  # fmt: skip
        self.family = family_of(self.checkpoint, self._wanted_head, self.compares)
        self._loader = FamilyLoader(self.family.family, self.checkpoint)
        return self._loader

    def positions(self, ids: Sequence[int]) -> list[int]:
        """Where the head reads."""
        return self._head.reads(ids)

    def identity(self) -> dict[str, str]:
        """With the rule by which rewards are read."""
        return {**super().identity(), "pad rule": self._pad_rule}

    def reward_info(self) -> dict[str, object]:
        """Likewise."""
        return {**super().reward_info(), "pad_rule": self._pad_rule}
