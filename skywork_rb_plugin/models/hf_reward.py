"""hf-reward: a Hugging Face reward model as a language model of the host, whose log-likelihoods are rewards."""

import atexit
import logging
import math
from collections.abc import Mapping
from contextlib import closing
from importlib.resources import files
from pathlib import Path
from typing import Literal

import torch
import transformers

import skywork_rb_plugin
from skywork_rb_plugin.conversations import Conversation, Message
from skywork_rb_plugin.errors import UserError
from skywork_rb_plugin.heads.sequence_classification import CheckedLoader, attention_for, check_labels
from skywork_rb_plugin.host import HFLM, Instance
from skywork_rb_plugin.models import score_cache
from skywork_rb_plugin.models.rendering import PROBES, Rendered, Renderer
from skywork_rb_plugin.models.requests import cannot_answer, conversation_of, not_finite, refuse_unrankable
from skywork_rb_plugin.scoring.attention import BY_BLOCKS
from skywork_rb_plugin.scoring.batches import Scored
from skywork_rb_plugin.scoring.choice import Scoring, choose_scorer
from skywork_rb_plugin.scoring.padded import PaddedScorer
from skywork_rb_plugin.scoring.pooling import PadRule, pad_id_for_pooling, pooled_index
from skywork_rb_plugin.scoring.progress import Counts, Progress

logger = logging.getLogger(f"lm_eval.{__name__}")

DEMO = "demo"


class HFReward(HFLM):
    """`--model hf-reward`: scores `(conversation, response)` with a sequence classifier that has one label.

    Takes every loading option of the host's `hf` (dtype, revision, device, parallelize, peft, quantisation,
    attn_implementation, trust_remote_code, tokenizer, max_length, batch_size, chat_template_args, …) and:

    Args:
        pretrained: hub name, folder or loaded model; `demo` is the small model packaged with this plugin.
        chat_template: a Jinja file, or the name of one of the tokenizer's templates; default: the tokenizer's own.
        pad_rule: `config`, or `reference` to pool as allenai/reward-bench does (see `pad_id_for_pooling`).
        scoring: `tree` computes tokens that conversations share once; `padded` takes batches of `batch_size`; `auto`
            means `tree` where the model can.
        tokens_per_pack: budget of `tree`, or `auto` to go by the device and its free memory.
        compile: whether `tree` compiles the model.

    Raises:
        UserError: the checkpoint is no reward model, has no chat template, or can't run as asked.
    """

    AUTO_MODEL_CLASS = transformers.AutoModelForSequenceClassification

    def __init__(
        self,
        pretrained: str | transformers.PreTrainedModel | None = None,
        chat_template: str | None = None,
        pad_rule: PadRule = "config",
        scoring: Scoring = "auto",
        tokens_per_pack: int | Literal["auto"] = "auto",
        compile: bool = False,
        **kwargs,
    ) -> None:
        _check_options(pretrained, pad_rule, scoring, tokens_per_pack, compile, kwargs)
        if pretrained == DEMO:
            pretrained = str(files("skywork_rb_plugin") / "demo" / "model")
        self._name = pretrained if isinstance(pretrained, str) else type(pretrained).__name__
        self._database, self._scoring = None, scoring
        self._counts = self._total_counts = Counts()  # on this rank, and on all of them
        requested = kwargs.get("attn_implementation")
        if requested == BY_BLOCKS:  # ours: nothing to load with
            kwargs.pop("attn_implementation")
        try:
            super().__init__(pretrained, **kwargs)
        except UserError:
            raise
        except Exception as error:
            # transformers and accelerate raise all kinds, some of many lines
            options = ", ".join(f"{key}={value}" for key, value in kwargs.items() if isinstance(value, (str, int)))
            raise UserError(
                f"could not load {self._name} with {options or 'no options'}: {type(error).__name__}: "
                f"{' '.join(str(error).split())[:400]} (check --model_args; LMEVAL_LOG_LEVEL=DEBUG shows where)"
            ) from error
        if self.world_size > 1:
            atexit.register(_leave_process_group)
        self._options = {key: value for key, value in kwargs.items() if key in score_cache.FILE_OPTIONS}
        check_labels(self.model.config, self._name)
        # again for a model that came loaded, or whose attention transformers chose
        attention_for(self.model.config, self.model.config._attn_implementation)
        self._renderer = Renderer(self.tokenizer, chat_template, self.chat_template_args, self.max_length, self._name)
        self._pad_rule = pad_rule
        self._probe = Rendered(self._renderer, self._renderer.render_all(PROBES))
        batch_size = self.batch_size if self.batch_size == "auto" else int(self.batch_size)
        padded = PaddedScorer(
            self.model, self._pooling_pad_id(), self.device, self.mixed_precision_dtype, batch_size,
            self.batch_schedule, self.max_batch_size,
        )  # fmt: skip
        self._scorer = choose_scorer(padded, self._probe, scoring, requested, tokens_per_pack, compile, self.max_length)
        self.batch_sizes = padded.batch_sizes  # for the results file
        if date := self._renderer.template_date:
            logger.warning(
                "The chat template of %s puts today's date (%s) into every prompt, so scores depend on the day; fix it "
                'with --model_args \'{"chat_template_args": {"date_string": "…"}}\' if the template takes one.',
                self._name, date,
            )  # fmt: skip

    # loading

    def _get_config(self, pretrained: str, **kwargs) -> None:
        if pretrained.startswith(("/", ".", "~")) and not Path(pretrained).is_dir():
            raise UserError(f"found no folder {pretrained}, expected the folder of a checkpoint or a hub name")
        try:
            super()._get_config(pretrained, **kwargs)
        except (OSError, ValueError) as error:
            line = " ".join(str(error).split())[:300]
            raise UserError(
                f"found no model {pretrained!r}, expected a folder or a hub name (gated ones need `hf auth login`; without "
                f"internet give a folder): {line}"
            ) from error

    def _create_tokenizer(self, *args, **kwargs) -> None:
        super()._create_tokenizer(*args, **kwargs)
        self._own_pad_id = self.tokenizer.pad_token_id  # before the host picks one

    def _create_model(self, pretrained: str, *, peft: str | None = None, **kwargs) -> None:
        # flash attention knows no prefix trees
        may_flash = self._scoring == "padded" and self.device.type == "cuda"
        kwargs.update(attention_for(self.config, kwargs.get("attn_implementation"), may_flash))
        loader = CheckedLoader(self.config, self._name, adapter=peft)
        self.AUTO_MODEL_CLASS = loader
        super()._create_model(pretrained, peft=peft, **kwargs)
        self.AUTO_MODEL_CLASS = type(self).AUTO_MODEL_CLASS
        loader.check(self._model.config)

    def _pooling_pad_id(self) -> int | None:
        eos = self.tokenizer.eos_token_id
        pad_id = pad_id_for_pooling(self.model.config, self._own_pad_id, eos, self._pad_rule)
        ids = self._probe.encode([0])[0]
        other = pad_id_for_pooling(self.model.config, self._own_pad_id, eos, "reference")
        here, there = pooled_index(ids, pad_id), pooled_index(ids, other)
        if here != there:
            logger.warning(
                "Scores of %s are read at %r (pad token of the config: %s). The reference implementation takes pad token "
                "%s from the tokenizer and reads them at %r; pad_rule=reference imitates it.",
                self._name, self.tokenizer.decode(ids[here]), pad_id, other, self.tokenizer.decode(ids[there]),
            )  # fmt: skip
        return pad_id

    # ranks: HFLM sets them only with several GPUs, and to the index within one node

    @property
    def rank(self) -> int:
        """Index of this process among all nodes'."""
        return self.accelerator.process_index if hasattr(self, "accelerator") else 0

    @property
    def world_size(self) -> int:
        """Number of processes that share the requests."""
        return self.accelerator.num_processes if hasattr(self, "accelerator") else 1

    def barrier(self) -> None:
        """Wait for all ranks and add up their counts: the one call that the host makes on every rank after scoring."""
        super().barrier()
        counts = self._counts.tensor()
        self._total_counts = Counts.of(self.all_gather(counts.to(self.device)).reshape(-1, len(counts)).sum(0))

    # what the host asks of a model

    @property
    def tokenizer_name(self) -> str:
        """Key of cached requests; ours hold messages, the ones of `hf` text."""
        return f"hf-reward__{super().tokenizer_name}"

    def chat_template(self, chat_template: bool | str = False) -> str | None:
        """The template in use, for the results file."""
        return self._renderer.template if chat_template else None

    def apply_chat_template(self, chat_history: list[Message], add_generation_prompt: bool = True) -> Conversation:
        """The messages themselves: they are rendered when the response is known."""
        return Conversation(chat_history)

    def loglikelihood(self, requests: list[Instance], disable_tqdm: bool = False) -> list[tuple[float, bool]]:
        """The reward of each request's `(context, continuation)`, as `(reward, False)`.

        A context that is no Conversation is one user message; a space before the continuation is the host's delimiter.

        Raises:
            UserError: a document has a single continuation, a reward is not finite, or memory runs out.
        """
        tasks = refuse_unrankable(requests, score_cache.ranked_tasks(self._database))
        score_cache.remember_ranked(self._database, tasks)
        same: dict[str, list[int]] = {}
        conversations = (conversation_of(*request.args) for request in requests)
        for i, text in enumerate(self._renderer.render_all(conversations)):
            same.setdefault(text, []).append(i)
        rendered = Rendered(self._renderer, list(same))
        if same:
            logger.info("The first conversation as the model sees it: %r", rendered.texts[0][:1000])
        answers: list[tuple[float, bool]] = [(math.nan, False)] * len(requests)
        hidden = disable_tqdm or self.rank != 0
        with Progress(rendered.texts, hidden) as progress, closing(self._scorer.run(rendered)) as stream:
            try:
                for scored in stream:
                    where = [same[rendered.texts[i]] for i in scored.conversations]
                    self._answer(requests, where, scored, answers)
                    progress.update(scored)
                    self._counts.add(scored, [len(indices) for indices in where])
            except KeyboardInterrupt:
                progress.say_interrupted(self._database is not None)
                raise
        progress.say_done()
        self._counts.conversations_truncated += rendered.truncated
        self._counts.tokens_truncated += rendered.tokens_truncated
        if rendered.truncated:
            logger.warning(
                "%d of %d conversations are longer than %d tokens and were cut from the left.",
                rendered.truncated, len(rendered.texts), self.max_length,
            )  # fmt: skip
        return answers

    def _answer(self, requests: list[Instance], where: list[list[int]], scored: Scored, answers: list) -> None:
        """Hand scores to the requests at these indices, and to the host's cache; those that are no numbers come last."""
        bad = []
        for indices, score in zip(where, scored.scores, strict=True):
            for i in indices:
                answers[i] = (score, False)
                if math.isfinite(score):
                    self.cache_hook.add_partial("loglikelihood", requests[i].args, answers[i])
                else:
                    bad.append((requests[i], score))
        if bad:
            raise not_finite(*bad[0])

    def loglikelihood_rolling(self, requests: list[Instance], disable_tqdm: bool = False):
        """Refused: a reward model has no likelihoods.

        Raises:
            UserError: always.
        """
        raise cannot_answer(requests, "likelihoods of whole texts (perplexity)")

    def generate_until(self, requests: list[Instance], disable_tqdm: bool = False):
        """Refused: a reward model writes no text.

        Raises:
            UserError: always.
        """
        raise cannot_answer(requests, "generated text")

    def set_cache_hook(self, cache_hook) -> None:
        """Take the host's cache, if this model filled it.

        Raises:
            UserError: another model did, or this one under other settings.
        """
        self._database = cache_hook.dbdict
        if self._database is not None:
            score_cache.claim(
                self._database,
                score_cache.fingerprint(self, self._renderer, self._scorer.attention, self._pad_rule, self._options),
            )
        super().set_cache_hook(cache_hook)

    def get_model_info(self) -> dict:
        """What the host records of the model, and under `reward` what decided the scores."""
        counts = self._total_counts if self.world_size > 1 else self._counts
        reward = {
            "checkpoint": score_cache.checkpoint_of(self),
            "head": f"{type(self.model).__name__}, one label",
            "attention": self._scorer.attention,
            "scoring": self._scorer.name,
            "tokens_per_pack": self._scorer.budget,
            "batch_size": self._scorer.batch_size,
            "compiled": self._scorer.compiled,
            "max_length": self.max_length,
            "pad_rule": self._pad_rule,
            "chat_template_sha256": self._renderer.template_sha256,
            "chat_template_date": self._renderer.template_date,
            **counts.report(),
            "plugin_version": skywork_rb_plugin.__version__,
        }
        return {**super().get_model_info(), "reward": reward}


def _leave_process_group() -> None:
    """The host leaves it to the interpreter's end, where its threads may abort the process."""
    if torch.distributed.is_initialized():
        torch.distributed.destroy_process_group()


def _check_options(pretrained, pad_rule, scoring, tokens_per_pack, compiled, others: Mapping) -> None:
    """Refuse what can't be meant, before anything is loaded."""
    if pretrained is None:
        raise UserError("found no pretrained=… in --model_args, expected a hub name, a folder, or demo")
    if pad_rule not in ("config", "reference"):
        raise UserError(f"found pad_rule={pad_rule}, expected config or reference")
    if scoring not in ("auto", "tree", "padded"):
        raise UserError(f"found scoring={scoring}, expected auto, tree or padded")
    if tokens_per_pack != "auto" and not (type(tokens_per_pack) is int and tokens_per_pack > 0):
        raise UserError(f"found tokens_per_pack={tokens_per_pack}, expected a whole number above 0, or auto")
    if type(compiled) is not bool:
        raise UserError(f"found compile={compiled}, expected True or False")
    if scoring == "padded" and others.get("attn_implementation") == BY_BLOCKS:
        raise UserError(f"found attn_implementation={BY_BLOCKS} with scoring=padded, expected scoring=tree")
    if compiled and scoring == "padded":
        raise UserError("found compile=True with scoring=padded, expected scoring=tree: padded batches vary in shape")
    if others.get("autogptq") or others.get("gptqmodel"):
        raise UserError("found autogptq or gptqmodel, which load only language models; expected load_in_4bit or 8bit")
