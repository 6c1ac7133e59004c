"""hf-reward: a Hugging Face reward model as a language model of the host, whose log-likelihoods are rewards."""

import logging
import math
from collections import defaultdict
from collections.abc import Iterator, Sequence
from importlib.resources import files
from pathlib import Path

import torch
import transformers
from accelerate.utils import find_executable_batch_size
from lm_eval.api.instance import Instance
from lm_eval.models.huggingface import HFLM
from lm_eval.models.utils import Collator
from tqdm import tqdm

import skywork_rb_plugin
from skywork_rb_plugin.conversations import Conversation, Message
from skywork_rb_plugin.errors import UserError
from skywork_rb_plugin.heads.sequence_classification import CheckedLoader, attention_for, check_labels
from skywork_rb_plugin.models import score_cache
from skywork_rb_plugin.models.rendering import PROBE, Renderer
from skywork_rb_plugin.models.requests import cannot_answer, conversation_of, not_finite, refuse_unrankable
from skywork_rb_plugin.scoring.padded import PaddedScorer, PadRule, pad_id_for_pooling, pooled_index

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

    Raises:
        UserError: the checkpoint is no reward model, has no chat template, or can't run as asked.
    """

    AUTO_MODEL_CLASS = transformers.AutoModelForSequenceClassification

    def __init__(
        self,
        pretrained: str | transformers.PreTrainedModel | None = None,
        chat_template: str | None = None,
        pad_rule: PadRule = "config",
        **kwargs,
    ) -> None:
        if pretrained is None:
            raise UserError("found no pretrained=… in --model_args, expected a hub name, a folder, or demo")
        if pad_rule not in ("config", "reference"):
            raise UserError(f"found pad_rule={pad_rule}, expected config or reference")
        if kwargs.get("autogptq") or kwargs.get("gptqmodel"):
            raise UserError(
                "found autogptq or gptqmodel, which load only language models; expected load_in_4bit or 8bit"
            )
        if pretrained == DEMO:
            pretrained = str(files("skywork_rb_plugin") / "demo" / "model")
        self._name = pretrained if isinstance(pretrained, str) else type(pretrained).__name__
        self._database = None
        self._counts = torch.zeros(2, dtype=torch.long)  # conversations scored and truncated, on this rank
        self._total_counts = self._counts
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
        self._options = {key: value for key, value in kwargs.items() if key in score_cache.FILE_OPTIONS}
        check_labels(self.model.config, self._name)
        # again for a model that came loaded, or whose attention transformers chose
        attention_for(self.model.config, self.model.config._attn_implementation, self.device.type)
        self._renderer = Renderer(self.tokenizer, chat_template, self.chat_template_args, self.max_length, self._name)
        self._pad_rule = pad_rule
        self._scorer = PaddedScorer(self.model, self._pooling_pad_id(), self.mixed_precision_dtype)
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
        kwargs.update(attention_for(self.config, kwargs.get("attn_implementation"), self.device.type))
        loader = CheckedLoader(self.config, self._name, adapter=peft)
        self.AUTO_MODEL_CLASS = loader
        super()._create_model(pretrained, peft=peft, **kwargs)
        self.AUTO_MODEL_CLASS = type(self).AUTO_MODEL_CLASS
        loader.check(self._model.config)

    def _pooling_pad_id(self) -> int | None:
        eos = self.tokenizer.eos_token_id
        pad_id = pad_id_for_pooling(self.model.config, self._own_pad_id, eos, self._pad_rule)
        [ids] = self._renderer.encode([PROBE])
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
        counts = self._counts.to(self.device)
        self._total_counts = self.all_gather(counts).reshape(-1, 2).sum(0).cpu()

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
        conversations = [conversation_of(*request.args) for request in requests]
        if conversations:
            first = self._renderer.render(conversations[0])
            logger.info("The first conversation as the model sees it: %r", first[:1000])
        sequences = self._renderer.encode(conversations)
        same: dict[tuple[int, ...], list[int]] = defaultdict(list)
        for i, ids in enumerate(sequences):
            same[tuple(ids)].append(i)
        answers: list[tuple[float, bool]] = [(math.nan, False)] * len(requests)
        progress = tqdm(
            total=len(same), desc="Scoring", unit=" conversations", disable=disable_tqdm or self.rank != 0, smoothing=0
        )
        for batch in self._batches(list(same)):
            scores = self._score([self._renderer.cut(ids) for ids in batch])
            bad = []
            for ids, score in zip(batch, scores, strict=True):
                for i in same[ids]:
                    answers[i] = (score, False)
                    if math.isfinite(score):
                        self.cache_hook.add_partial("loglikelihood", requests[i].args, answers[i])
                    else:
                        bad.append((requests[i], score))
            if bad:
                raise not_finite(*bad[0])
            progress.update(len(batch))
        progress.close()
        self._count(same)
        return answers

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
                self._database, score_cache.fingerprint(self, self._renderer, self._pad_rule, self._options)
            )
        super().set_cache_hook(cache_hook)

    def get_model_info(self) -> dict:
        """What the host records of the model, and under `reward` what decided the scores."""
        scored, truncated = self._total_counts.tolist() if self.world_size > 1 else self._counts.tolist()
        reward = {
            "checkpoint": score_cache.checkpoint_of(self),
            "head": f"{type(self.model).__name__}, one label",
            "attention": self.model.config._attn_implementation,
            "max_length": self.max_length,
            "pad_rule": self._pad_rule,
            "chat_template_sha256": self._renderer.template_sha256,
            "chat_template_date": self._renderer.template_date,
            "conversations_scored": scored,
            "conversations_truncated": truncated,
            "plugin_version": skywork_rb_plugin.__version__,
        }
        return {**super().get_model_info(), "reward": reward}

    # scoring

    def _batches(self, sequences: list[tuple[int, ...]]) -> Iterator[list[tuple[int, ...]]]:
        """Longest first, by the host's own collator."""
        self.batch_sizes = {}
        automatic = self.batch_size == "auto"
        collator = Collator(sequences, sort_fn=lambda ids: (-len(ids), ids))
        size, schedule = (0, self._batch_scheduler) if automatic else (int(self.batch_size), None)
        yield from collator.get_batched(n=size, batch_fn=schedule)

    def _score(self, batch: list[Sequence[int]]) -> list[float]:
        try:
            return self._scorer(batch, self.device)
        except torch.cuda.OutOfMemoryError as error:
            raise UserError(
                f"out of memory with {len(batch)} conversations of up to {len(batch[0])} tokens; expected a smaller "
                "--batch_size (or auto); scores finished before survive only under --use_cache"
            ) from error

    def _batch_scheduler(self, position: int, sequences: Sequence[tuple[int, ...]]) -> int:
        """The size of the next batch for `--batch_size auto` and `auto:N`, as the host finds it, with few items too.

        Each rank finds its own: one whose answers all come from a cache is not there to agree with.
        """
        section = position // max(1, int(len(sequences) / self.batch_schedule))
        if section not in self.batch_sizes:

            @find_executable_batch_size(starting_batch_size=self.max_batch_size)
            def largest(batch_size: int) -> int:
                self._scorer([self._renderer.cut(sequences[position])] * batch_size, self.device)
                return batch_size

            try:
                self.batch_sizes[section] = largest()
            except RuntimeError as error:
                if "No executable batch size found" not in str(error):
                    raise
                self.batch_sizes[section] = 1
            logger.info("Batches of %d conversations from number %d on.", self.batch_sizes[section], position)
        return self.batch_sizes[section]

    def _count(self, same: dict[tuple[int, ...], list[int]]) -> None:
        truncated = sum(len(ids) > self.max_length for ids in same)
        self._counts = self._counts + torch.tensor([len(same), truncated])
        if truncated:
            logger.warning(
                "%d of %d conversations are longer than %d tokens and were cut from the left.",
                truncated, len(same), self.max_length,
            )  # fmt: skip
