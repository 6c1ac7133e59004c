"""vllm-reward: a reward model in vLLM's engine, on one device or on many."""

import inspect
import logging
import os
from collections.abc import Mapping
from typing import Literal

import torch
import transformers

from skywork_rb_plugin.errors import UserError
from skywork_rb_plugin.heads import plugins
from skywork_rb_plugin.heads.checkpoint import Checkpoint
from skywork_rb_plugin.heads.pooling import PadRule
from skywork_rb_plugin.models import checkpoints
from skywork_rb_plugin.models.as_published import known_run
from skywork_rb_plugin.models.engine_checks import check_checkpoint, check_class, check_positions
from skywork_rb_plugin.models.engine_heads import engine_head
from skywork_rb_plugin.models.family_reward import FamilyReward
from skywork_rb_plugin.models.options import check_length, check_values, own_length, plain, shown
from skywork_rb_plugin.models.reading import family_of, finding_config, place_of, tried
from skywork_rb_plugin.models.vllm_options import (
    check_alone,
    check_installed,
    check_overrides,
    deciding,
    engine_options,
    importing,
)
from skywork_rb_plugin.rendering.rendered import PROBES
from skywork_rb_plugin.scoring.choice import warn_of_equal
from skywork_rb_plugin.scoring.engine import EngineScorer

logger = logging.getLogger(f"lm_eval.{__name__}")


class VLLMReward(FamilyReward):
    """`--model vllm-reward`: scores `(conversation, response)` with a reward model whose head vLLM computes.

    Takes every option of vLLM's engine (tensor_parallel_size, pipeline_parallel_size, data_parallel_size,
    distributed_executor_backend, gpu_memory_utilization, max_num_seqs, quantization, enforce_eager, …) and:

    Args:
        pretrained: hub name or folder; `demo` is the small model packaged with this plugin.
        head: name of the head that reads it, as `info` lists them; default: the one that answers to the checkpoint.
        label: of a classifier with several labels, the number or name of the one whose logit is the reward.
        steps: of a model that scores steps, how they become one reward: `last`, `min`, `product` or `mean`; default: as its
            authors do.
        chat_template: a Jinja file, or the name of one of the tokenizer's templates; default: the head's own format where
            it has one, else the tokenizer's own template.
        chat_template_args: names and values for the chat template, such as `date_string`.
        pad_rule: `config` reads rewards before the config's pad token, as transformers does; `reference` takes the pad token
            that allenai/reward-bench takes, in some cases the tokenizer's.
        max_length: tokens; longer conversations are cut from the left, after the BOS; default: what the model says.
        max_position_embeddings: another number of positions than the model's config says.
        dtype: of the model: `bfloat16`, `float16` or `float32`; `auto` is the checkpoint's, also where that is float32.
        head_dtype: of the head: `model` is the model's, as in hf-reward; `float32` is what vLLM takes by itself.
        revision: of the checkpoint on the hub.
        tokenizer: hub name or folder of another tokenizer.
        add_bos_token: whether the tokenizer puts a BOS; default: as it does.
        trust_remote_code: whether code that comes with config or tokenizer may run; a model's own is refused.
        hf_overrides: values of the model's config, by name.

    Raises:
        UserError: vLLM is not installed, has no such option or no such model, or can't start; or the checkpoint is no reward
            model, has no chat template, or can't run as asked.
    """

    def __init__(
        self,
        pretrained: str | os.PathLike | None = None,
        head: str | None = None,
        label: int | str | None = None,
        steps: str | None = None,
        chat_template: str | None = None,
        chat_template_args: Mapping | None = None,
        pad_rule: PadRule = "config",
        max_length: int | None = None,
        max_position_embeddings: int | None = None,
        dtype: str = "auto",
        head_dtype: Literal["model", "float32"] = "model",
        revision: str | None = None,
        tokenizer: str | None = None,
        add_bos_token: bool | None = None,
        trust_remote_code: bool = False,
        hf_overrides: Mapping | None = None,
        **kwargs,
    ) -> None:
        self.check_options(
            {
                "pretrained": pretrained, "head": head, "label": label, "steps": steps, "chat_template": chat_template,
                "chat_template_args": chat_template_args, "pad_rule": pad_rule, "max_length": max_length,
                "max_position_embeddings": max_position_embeddings, "dtype": dtype, "head_dtype": head_dtype,
                "revision": revision, "tokenizer": tokenizer, "add_bos_token": add_bos_token,
                "trust_remote_code": trust_remote_code, "hf_overrides": hf_overrides, **kwargs,
            }
        )  # fmt: skip
        super().__init__()
        pretrained = place_of(pretrained)
        self._name, self._pad_rule, self._revision, self._bos = pretrained, pad_rule, revision, add_bos_token
        self._remote = {"revision": revision, "trust_remote_code": trust_remote_code}
        self._engine_options = engine_options({key: plain(value) for key, value in kwargs.items()}, _ours())
        self._overrides = dict(hf_overrides or {})
        if max_position_embeddings is not None:
            self._overrides["max_position_embeddings"] = plain(max_position_embeddings)
        config, length = self._config(), plain(max_length)
        read = self._tokenizer(tokenizer or pretrained)
        check_length(length, own := own_length(config, read), pretrained, config)
        self.checkpoint = Checkpoint(
            pretrained, config, pretrained, options={"label": label, "steps": steps}, files={"revision": revision}
        )
        self.family = family_of(self.checkpoint, head)
        family = self.family.family
        check_checkpoint(family, self.checkpoint)
        length = length or family.length or own or _DEFAULT_LENGTH
        check_positions(self.checkpoint, length)
        self._dtype = self._dtype_for(dtype)
        self.renderer = self.renderer_for(read, chat_template, chat_template_args, length)
        self.renderer.vocabulary = config.get_text_config().vocab_size
        probe = tried(self.renderer, PROBES, chat_template)
        self._pad_id = self.pad_id(config, read.pad_token_id)
        found = engine_head(family, self.checkpoint, read, self._pad_id)
        self.take(found.head, found.loaded, read.pad_token_id, probe.encode([0])[0])
        engine = self._start(found.task, {"head_dtype": head_dtype, **self._overrides, **found.config})
        self.scorer = EngineScorer(engine, found.head, found.task == "token_classify")
        warn_of_equal([score for scored in self.scorer.run(probe) for score in scored.scores])
        logger.info("Rewards of %s are read by the head %s, in vLLM.", pretrained, self.head_name())
        self.known = known_run(
            [pretrained], revision, type(self), self.renderer, PROBES[0],
            head=family.name, dtype=self._dtype, attention=self.scorer.attention,
        )  # fmt: skip

    @classmethod
    def check_options(cls, options: Mapping[str, object]) -> None:
        """Refuse what can't be meant, before anything is loaded.

        Raises:
            UserError: says what was found and what was expected.
        """
        if isinstance(options.get("pretrained"), torch.nn.Module):
            raise UserError("found a loaded model, expected a hub name or a folder: vLLM loads its models itself")
        check_values(options)
        for name, kinds, expected in (
            ("head_dtype", ("model", "float32"), "model or float32"),
            ("revision", str, "a branch, tag or commit"),
            ("tokenizer", str, "a hub name or a folder"),
            ("add_bos_token", bool, "True or False"),
            ("trust_remote_code", bool, "True or False"),
            ("hf_overrides", Mapping, "names and values of the model's config"),
        ):
            value = options.get(name)
            fits = value in kinds if isinstance(kinds, tuple) else isinstance(value, kinds)
            if value is not None and not fits:
                raise UserError(f"found {name}={value!r}, expected {expected}")
        check_overrides(options.get("hf_overrides") or {})
        check_alone()
        check_installed()
        engine_options(options, _ours())

    # loading

    def _config(self) -> transformers.PretrainedConfig:
        """The model's, with the values that the user gives."""
        plugins.registered()  # families may bring configs of models that transformers does not know
        with finding_config(self._name):
            config = transformers.AutoConfig.from_pretrained(self._name, **self._remote)
        config.update(self._overrides)
        return config

    def _tokenizer(self, name: str) -> transformers.PreTrainedTokenizerBase:
        bos = {} if self._bos is None else {"add_bos_token": self._bos}
        try:
            return transformers.AutoTokenizer.from_pretrained(name, **self._remote, **bos)
        except Exception as error:
            # transformers and tokenizers raise all kinds
            raise UserError(
                f"could not load the tokenizer of {name}: {type(error).__name__}: {' '.join(str(error).split())[:300]} (check "
                f"{checkpoints.damaged_file(name) or 'tokenizer=… in --model_args'})"
            ) from error

    def _dtype_for(self, wanted: str) -> str:
        """The checkpoint's: vLLM's `auto` would take half precision for float32."""
        own = self.checkpoint.config.dtype if wanted == "auto" else wanted
        if own is None:
            names = self.checkpoint.beside_layers
            own = self.checkpoint.tensor(names[0]).dtype if names else torch.float32
        return str(own).removeprefix("torch.")

    def _start(self, task: str, config: Mapping):
        """The engine.

        Args:
            task: of vLLM.
            config: values of the model's config.

        Raises:
            UserError: it does not start, with vLLM's reason where it gives one.
        """
        with importing():
            from vllm import ModelRegistry, __version__
            from vllm.config import PoolerConfig

            from skywork_rb_plugin.scoring.vllm_engine import VLLMEngine, block_size

        architectures = config.get("architectures", self.checkpoint.architectures)
        check_class(self.checkpoint, architectures, ModelRegistry.get_supported_archs())
        arguments = {
            "model": self._name,
            "runner": "pooling",
            # what is left open here vLLM takes from files of sentence-transformers
            "pooler_config": PoolerConfig(
                task=task, seq_pooling_type="LAST", tok_pooling_type="ALL", use_activation=False
            ),
            # another class than vLLM's own may read another token, or has no head
            "model_impl": "vllm",
            # `auto` takes consolidated*.safetensors where there are such
            "load_format": "hf",
            "skip_tokenizer_init": True,
            "dtype": self._dtype,
            "max_model_len": self.renderer.max_length,
            "hf_overrides": dict(config),
            # vLLM reads its cache only where the last token is enough
            "enable_prefix_caching": task == "classify",
            "disable_log_stats": True,
            **self._remote,
            **block_size(),
            **self._engine_options,
        }
        try:
            engine = VLLMEngine(task, arguments)
        except Exception as error:
            # of pydantic, torch, ray or the engine's processes
            options = {"dtype": self._dtype, "max_length": self.renderer.max_length, **self._engine_options}
            raise UserError(
                f"vLLM {__version__} could not start {self._name} ({self.checkpoint.architecture}) with {shown(options)}: "
                f"{type(error).__name__}: {' '.join(str(error).split())[:400]} (its own lines in the log may say more; check "
                "--model_args, or score it with --model hf-reward)"
            ) from error
        pooler = engine.config.model_config.pooler_config
        if (pooler.seq_pooling_type, pooler.logit_mean, pooler.logit_sigma) != ("LAST", None, None):
            engine.close()
            raise UserError(
                f"found that vLLM {__version__} pools {self._name} otherwise than asked ({pooler}), expected the last token's "
                "own logits; --model hf-reward reads it"
            )
        return engine

    # what it says of itself

    def identity(self) -> dict[str, str]:
        """What decides a score beside rendering and attention, in words."""
        read, settings = self.renderer.tokenizer, self.scorer.settings()
        name = read.name_or_path
        return {
            "model": self._name,
            "revision": self._state(),
            "engine": settings["engine"],
            "engine options": str(deciding(self._engine_options)),
            "device": str(settings["device"]),
            "head": self.head_name(),
            "head dtype": settings["head_dtype"],
            "dtype": settings["dtype"],
            "tokenizer": f"{name}, {checkpoints.revision_of(name, None)}, {len(read)} tokens, BOS {self._bos}",
            "config": checkpoints.config_hash(self.checkpoint.config),
            "trusted code": str(self._remote["trust_remote_code"]),
            "pad rule": f"{self._pad_rule}, pad token {self._pad_id}",
        }

    def reward_info(self) -> dict[str, object]:
        """For the results file."""
        return {"checkpoint": self._state(), "head": self.head_name(), "pad_rule": self._pad_rule}

    def get_model_info(self) -> dict:
        """With what the host has of its own models."""
        commit = getattr(self.checkpoint.config, "_commit_hash", None) or ""
        own = {"model_dtype": self._dtype, "model_revision": self._revision or "main", "model_sha": commit}
        return {**own, **super().get_model_info()}

    def _state(self) -> str:
        """The state of the checkpoint, the hub's by its commit where that is known."""
        commit = getattr(self.checkpoint.config, "_commit_hash", None)
        return checkpoints.revision_of(self._name, commit or self._revision or "main")


# where neither config nor tokenizer says a length, as in the host
_DEFAULT_LENGTH = 2048


def _ours() -> set[str]:
    """The names of our own options."""
    return {name for name in inspect.signature(VLLMReward).parameters if name != "kwargs"}
