"""hf-reward: a Hugging Face reward model, loaded by the host's own HFLM."""

import copy
import inspect
import logging
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib.resources import files
from pathlib import Path
from typing import Literal

import torch
import transformers

from skywork_rb_plugin.errors import UserError
from skywork_rb_plugin.heads.head import Head
from skywork_rb_plugin.heads.pooling import PadRule, pad_id_for_pooling, pooled_index
from skywork_rb_plugin.heads.sequence_classification import CheckedLoader, check_labels, head_name, standard_head
from skywork_rb_plugin.host import HFLM, stated_length
from skywork_rb_plugin.models import checkpoints, processes
from skywork_rb_plugin.models.options import check_length, check_names, check_values, device_for, plain, shown
from skywork_rb_plugin.models.rendering import PROBES, Rendered, Renderer
from skywork_rb_plugin.models.reward_lm import RewardLM
from skywork_rb_plugin.scoring.attention import OURS, attention_for
from skywork_rb_plugin.scoring.choice import Scoring, choose_scorer
from skywork_rb_plugin.scoring.padded import PaddedScorer

logger = logging.getLogger(f"lm_eval.{__name__}")

DEMO = "demo"
# model arguments that choose among the files of one checkpoint
_FILE_OPTIONS = ("subfolder", "gguf_file", "variant", "use_fast_tokenizer")


class HFReward(RewardLM, HFLM):
    """`--model hf-reward`: scores `(conversation, response)` with a sequence classifier that has one label.

    Takes every loading option of the host's `hf` (dtype, revision, device, parallelize, peft, quantisation,
    attn_implementation, trust_remote_code, tokenizer, max_length, batch_size, chat_template_args, …) and:

    Args:
        pretrained: hub name, folder or loaded model; `demo` is the small model packaged with this plugin.
        chat_template: a Jinja file, or the name of one of the tokenizer's templates; default: the tokenizer's own.
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

    AUTO_MODEL_CLASS = transformers.AutoModelForSequenceClassification

    def __init__(
        self,
        pretrained: str | os.PathLike | transformers.PreTrainedModel | None = None,
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
                "pretrained": pretrained, "chat_template": chat_template, "pad_rule": pad_rule, "scoring": scoring,
                "tokens_per_pack": tokens_per_pack, "compile": compile, "device": device, **kwargs,
            }
        )  # fmt: skip
        if pretrained == DEMO:
            pretrained = files("skywork_rb_plugin") / "demo" / "model"
        pretrained = os.fspath(pretrained) if isinstance(pretrained, os.PathLike) else pretrained
        self._name = pretrained if isinstance(pretrained, str) else type(pretrained).__name__
        self._scoring, self._pad_rule = scoring, pad_rule
        kwargs, tokens_per_pack = {key: plain(value) for key, value in kwargs.items()}, plain(tokens_per_pack)
        self._files = {key: value for key, value in kwargs.items() if key in _FILE_OPTIONS}
        requested, self._wanted_length = kwargs.get("attn_implementation"), kwargs.get("max_length")
        if isinstance(pretrained, transformers.PreTrainedModel):
            own = kwargs.get("max_position_embeddings") or stated_length(pretrained.config)
            check_length(self._wanted_length, own, self._name)
        # the host puts a model that came loaded into evaluation mode
        with _modes_kept(pretrained if isinstance(pretrained, torch.nn.Module) else None):
            self._load(pretrained, device_for(device), kwargs)
            self.renderer = Renderer(
                self.tokenizer, chat_template, self.chat_template_args, self.max_length, self._name
            )
            self.renderer.vocabulary = getattr(self.model.get_input_embeddings(), "num_embeddings", None)
            self._probe = Rendered(self.renderer, self.renderer.render_all(PROBES))
            self._refuse_blindness(chat_template)
            pad_id = self._pooling_pad_id()
            self._head = self.find_head(pad_id)
            self.renderer.append = self._head.append if self._head else ()
            padded = PaddedScorer(
                self.model, self._head, pad_id, self.device, self.mixed_precision_dtype,
                self.batch_size if self.batch_size == "auto" else int(self.batch_size), self.batch_schedule,
                self.max_batch_size,
            )  # fmt: skip
            self.scorer = choose_scorer(
                padded, self._probe, scoring, requested, tokens_per_pack, compile, self.max_length
            )
        self.batch_sizes = padded.batch_sizes  # for the results file
        if date := self.renderer.template_date:
            logger.warning(
                "The chat template of %s puts today's date (%s) into every prompt, so scores depend on the day; fix it "
                'with --model_args \'{"chat_template_args": {"date_string": "…"}}\' if the template takes one.',
                self._name, date,
            )  # fmt: skip

    @classmethod
    def check_options(cls, options: Mapping[str, object]) -> None:
        """Refuse misspelt options, and values that can't be meant, before anything is loaded.

        Raises:
            UserError: says what was found and what was expected.
        """
        check_names(options, {*inspect.signature(HFLM).parameters, *inspect.signature(HFReward).parameters})
        check_values(options)

    @classmethod
    def processes(cls, options: Mapping[str, object]) -> int:
        """How many share the documents: all that `torchrun` or `accelerate launch` started.

        1 where they share the model, and for one that came loaded, which the host leaves to the caller.
        """
        loaded = isinstance(options.get("pretrained"), torch.nn.Module)
        return 1 if loaded or options.get("tp_plan") else processes.started()

    def find_head(self, pad_id: int | None) -> Head | None:
        """The head that reads the loaded model; None if its rewards can only be its own logits.

        Args:
            pad_id: the token id that pooling skips, or None.
        """
        return standard_head(self.model, pad_id)

    # loading

    def _load(self, pretrained: str | torch.nn.Module, device: str, options: dict) -> None:
        """Have the host load the model and its tokenizer.

        Raises:
            UserError: it can't, or the model has not one label, or would lose its soft-capping.
        """
        if self._scoring != "padded" and options.get("attn_implementation") in OURS:  # nothing to load with
            options.pop("attn_implementation")
        if options.get("tokenizer") is not None and not isinstance(options["tokenizer"], str):
            options["tokenizer"] = copy.deepcopy(options["tokenizer"])  # the host gives it a pad token
        try:
            if device == "cpu" and self.processes({**options, "pretrained": pretrained}) > 1:
                processes.join_on_cpu()
            super().__init__(pretrained, device=device, **options)
        except UserError:
            raise
        except Exception as error:
            # transformers and accelerate raise all kinds, some of many lines, some of none
            damaged = checkpoints.damaged_file(self._name)
            raise UserError(
                f"could not load {self._name} with {shown(options) or 'no options'} on {device}: {type(error).__name__}: "
                f"{' '.join(str(error).split())[:400]} (check {damaged or '--model_args'}; LMEVAL_LOG_LEVEL=DEBUG shows where)"
            ) from error
        if self.world_size > 1:
            logger.info("Process %d of %d, on %s, scores its share.", self.rank + 1, self.world_size, self.device)
            processes.leave_at_exit()
        check_labels(self.model.config, self._name)
        # again for a model that came loaded, or whose attention transformers chose
        attention_for(self.model.config, self.model.config._attn_implementation)

    def _get_config(self, pretrained: str, **kwargs) -> None:
        if pretrained.startswith(("/", ".", "~")) and not Path(pretrained).is_dir():
            raise UserError(f"found no folder {pretrained}, expected the folder of a checkpoint or a hub name")
        folder = Path(pretrained, kwargs.get("subfolder") or "")
        try:
            super()._get_config(pretrained, **kwargs)
        except Exception as error:
            line = f"{type(error).__name__}: {' '.join(str(error).split())[:300]}"
            if Path(pretrained).is_dir():
                raise UserError(
                    f"found no usable {folder / 'config.json'}, expected a checkpoint there: {line}"
                ) from error
            raise UserError(
                f"found no model {pretrained!r}, expected a folder or a hub name (gated ones need `hf auth login`; without "
                f"internet give a folder): {line}"
            ) from error

    def _create_tokenizer(self, *args, **kwargs) -> None:
        super()._create_tokenizer(*args, **kwargs)
        self._own_pad_id = self.tokenizer.pad_token_id  # before the host picks one
        if not isinstance(length := self.tokenizer.model_max_length, (int, float)):
            raise UserError(f"found model_max_length {length!r} in the tokenizer's config, expected a number of tokens")

    def _create_model(self, pretrained: str, *, peft: str | None = None, **kwargs) -> None:
        own = kwargs.get("max_position_embeddings") or stated_length(self.config, self.tokenizer)
        check_length(self._wanted_length, own, self._name, self.config)
        # flash attention knows no prefix trees
        may_flash = self._scoring == "padded" and self.device.type == "cuda"
        kwargs.update(attention_for(self.config, kwargs.get("attn_implementation"), may_flash))
        loader = CheckedLoader(self.config, self._name, adapter=peft)
        self.AUTO_MODEL_CLASS = loader
        super()._create_model(pretrained, peft=peft, **kwargs)
        self.AUTO_MODEL_CLASS = type(self).AUTO_MODEL_CLASS
        loader.check(self._model.config)

    def _refuse_blindness(self, chat_template: str | None) -> None:
        """Refuse what shows the model the same of two responses, so that every pair would tie.

        Raises:
            UserError: the chat template or the length is to blame.
        """
        one, other, *_ = self._probe.texts
        if one == other:
            raise UserError(
                f"the chat template of {self._name} gives two conversations that differ in their response the same text "
                f"{one[:80]!r}, expected one that shows the response; check chat_template={chat_template} in --model_args"
            )
        if len({tuple(ids) for ids in self._probe.encode([0, 1])}) == 1:
            raise UserError(
                f"found max_length={self.max_length}, which cuts two different responses to the same tokens; expected more"
            )

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

    # what it says of itself

    @contextmanager
    def scoring_mode(self) -> Iterator[None]:
        """A caller's own model may be in training mode, and must be as it was afterwards."""
        with _modes_kept(self.model):
            self.model.eval()
            yield

    def identity(self) -> dict[str, str]:
        """What decides a score beside rendering and attention, in words."""
        config, adapter = self.model.config, self.peft or self.delta
        quantization = getattr(config, "quantization_config", None)
        name = self.tokenizer.name_or_path
        return {
            "model": self._name,
            "revision": self._checkpoint(),
            "files": str(sorted(self._files.items())),
            "adapter": f"{adapter}, {checkpoints.revision_of(adapter, self.revision)}",
            "head": self._head_name(),
            "dtype": str(self.model.dtype),
            "mixed precision": str(self.mixed_precision_dtype),
            "quantization": str(quantization.to_dict() if hasattr(quantization, "to_dict") else quantization),
            "tokenizer": f"{name}, {checkpoints.revision_of(name, None)}, {len(self.tokenizer)} tokens, BOS "
            f"{self.add_bos_token}",
            "pad rule": self._pad_rule,
            "config": checkpoints.config_hash(config),
        }

    def reward_info(self) -> dict[str, object]:
        """For the results file."""
        return {
            "checkpoint": self._checkpoint(), "head": self._head_name(), "pad_rule": self._pad_rule,
            "device": str(self.device),
        }  # fmt: skip

    def _checkpoint(self) -> str:
        """The state of the model's own checkpoint, the hub's by its commit where that is known."""
        commit = getattr(self.model.config, "_commit_hash", None)
        return checkpoints.revision_of(self.pretrained, commit or self.revision)

    def _head_name(self) -> str:
        return self._head.name if self._head else head_name(self.model)


@contextmanager
def _modes_kept(model: torch.nn.Module | None) -> Iterator[None]:
    """Leave a model's parts in training mode where they were."""
    training = [module for module in model.modules() if module.training] if model is not None else []
    try:
        yield
    finally:
        for module in training:
            module.training = True
