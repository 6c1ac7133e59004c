"""hf-reward: a Hugging Face reward model, loaded by the host's own HFLM."""

import atexit
import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib.resources import files
from pathlib import Path
from typing import Literal

import torch
import transformers

from skywork_rb_plugin.errors import UserError
from skywork_rb_plugin.heads.pooling import PadRule, pad_id_for_pooling, pooled_index
from skywork_rb_plugin.heads.sequence_classification import CheckedLoader, check_labels, head_name, standard_head
from skywork_rb_plugin.host import HFLM
from skywork_rb_plugin.models import checkpoints
from skywork_rb_plugin.models.rendering import PROBES, Rendered, Renderer
from skywork_rb_plugin.models.reward_lm import RewardLM
from skywork_rb_plugin.scoring.attention import BY_BLOCKS, attention_for
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
        pad_rule: `config`, or `reference` to pool as allenai/reward-bench does (see `pad_id_for_pooling`).
        scoring: `tree` computes tokens that conversations share once; `padded` takes batches of `batch_size`; `auto`
            means `tree` where the model can.
        tokens_per_pack: budget of `tree`, or `auto` to go by the device and its free memory.
        compile: whether `tree` compiles the model.
        device: default: CUDA where there is one, else the CPU.

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
        device: str | None = None,
        **kwargs,
    ) -> None:
        _check_options(pretrained, pad_rule, scoring, tokens_per_pack, compile, kwargs)
        if pretrained == DEMO:
            pretrained = str(files("skywork_rb_plugin") / "demo" / "model")
        self._name = pretrained if isinstance(pretrained, str) else type(pretrained).__name__
        self._scoring = scoring
        kwargs["device"] = device or ("cuda" if torch.cuda.is_available() else "cpu")
        training = [module for module in _modules(pretrained) if module.training]
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
        self._files = {key: value for key, value in kwargs.items() if key in _FILE_OPTIONS}
        check_labels(self.model.config, self._name)
        # again for a model that came loaded, or whose attention transformers chose
        attention_for(self.model.config, self.model.config._attn_implementation)
        self.renderer = Renderer(self.tokenizer, chat_template, self.chat_template_args, self.max_length, self._name)
        self._pad_rule = pad_rule
        self._probe = Rendered(self.renderer, self.renderer.render_all(PROBES))
        pad_id = self._pooling_pad_id()
        self._head = standard_head(self.model, pad_id)
        batch_size = self.batch_size if self.batch_size == "auto" else int(self.batch_size)
        # the model's own logits: it pools as the head does
        padded = PaddedScorer(
            self.model, None, pad_id, self.device, self.mixed_precision_dtype, batch_size, self.batch_schedule,
            self.max_batch_size,
        )  # fmt: skip
        self.scorer = choose_scorer(
            padded, self._head, self._probe, scoring, requested, tokens_per_pack, compile, self.max_length
        )
        self.batch_sizes = padded.batch_sizes  # for the results file
        for module in training:  # the host puts a model that came loaded into evaluation mode
            module.training = True
        if date := self.renderer.template_date:
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

    # what it says of itself

    @contextmanager
    def scoring_mode(self) -> Iterator[None]:
        """A caller's own model may be in training mode, and must be as it was afterwards."""
        training = [module for module in self.model.modules() if module.training]
        self.model.eval()
        try:
            yield
        finally:
            for module in training:
                module.training = True

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
        return {"checkpoint": self._checkpoint(), "head": self._head_name(), "pad_rule": self._pad_rule}

    def _checkpoint(self) -> str:
        """The state of the model's own checkpoint, the hub's by its commit where that is known."""
        commit = getattr(self.model.config, "_commit_hash", None)
        return checkpoints.revision_of(self.pretrained, commit or self.revision)

    def _head_name(self) -> str:
        return self._head.name if self._head else head_name(self.model)


def _modules(pretrained: object) -> Iterator[torch.nn.Module]:
    """The parts of a model that came loaded; none of one that is still to load."""
    return pretrained.modules() if isinstance(pretrained, torch.nn.Module) else iter(())


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
