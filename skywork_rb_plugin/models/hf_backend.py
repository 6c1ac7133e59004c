"""What hf-reward and hf-dpo share: a model that the host's own HFLM loads, with its options looked at and its errors told."""

import abc
import copy
import inspect
import logging
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

import torch
import transformers

from skywork_rb_plugin.conversations import Message
from skywork_rb_plugin.errors import UserError
from skywork_rb_plugin.heads.loader import FamilyLoader
from skywork_rb_plugin.host import HFLM
from skywork_rb_plugin.models import checkpoints, processes
from skywork_rb_plugin.models.adapters import KeepsRows
from skywork_rb_plugin.models.options import (
    check_length,
    check_names,
    check_values,
    device_for,
    own_length,
    plain,
    shown,
)
from skywork_rb_plugin.models.reading import finding_config, place_of, tried
from skywork_rb_plugin.models.reward_lm import RewardLM
from skywork_rb_plugin.rendering.rendered import PROBES
from skywork_rb_plugin.rendering.renderer import Renderer
from skywork_rb_plugin.scoring.attention import OURS, attention_for
from skywork_rb_plugin.scoring.budget import ranks_within
from skywork_rb_plugin.scoring.progress import Counts

logger = logging.getLogger(f"lm_eval.{__name__}")

# model arguments that choose among the files of one checkpoint
_FILE_OPTIONS = ("subfolder", "gguf_file", "variant", "use_fast_tokenizer")


class HFBackend(RewardLM, HFLM):
    """A model of transformers, with its tokenizer.

    Raises:
        UserError: it can't be loaded as asked.
    """

    # conversations to try it with
    probes: Sequence[Sequence[Message]] = PROBES

    @abc.abstractmethod
    def loader(self, adapter: str | None, revision: str | None) -> FamilyLoader:
        """What loads the weights, when config and tokenizer are known.

        Raises:
            UserError: the checkpoint is none that it can load.
        """

    @abc.abstractmethod
    def head_name(self) -> str:
        """What reads the rewards, for the results file and the cache's fingerprint."""

    @abc.abstractmethod
    def positions(self, ids: Sequence[int]) -> list[int]:
        """Indices of the tokens of a conversation where its reward is read."""

    @classmethod
    def check_options(cls, options: Mapping[str, object]) -> None:
        """Refuse misspelt options, and values that can't be meant, before anything is loaded.

        Raises:
            UserError: says what was found and what was expected.
        """
        check_names(options, {*inspect.signature(HFLM).parameters, *inspect.signature(cls).parameters})
        check_values(options)

    @classmethod
    def processes(cls, options: Mapping[str, object]) -> int:
        """How many share the documents: all that `torchrun` or `accelerate launch` started.

        1 where they share the model, and for one that came loaded, which the host leaves to the caller.
        """
        loaded = isinstance(options.get("pretrained"), torch.nn.Module)
        return 1 if loaded or options.get("tp_plan") else processes.started()

    # loading

    def load(self, pretrained: str | os.PathLike | torch.nn.Module, device: object, options: Mapping) -> None:
        """Have the host load the model and its tokenizer.

        Raises:
            UserError: it can't, or the model would lose its soft-capping.
        """
        pretrained = place_of(pretrained)
        self._name = pretrained if isinstance(pretrained, str) else type(pretrained).__name__
        options = {key: plain(value) for key, value in options.items()}
        self._files = {key: value for key, value in options.items() if key in _FILE_OPTIONS}
        self._wanted_length, device = options.get("max_length"), device_for(device)
        if isinstance(pretrained, transformers.PreTrainedModel):
            own = options.get("max_position_embeddings") or own_length(pretrained.config)
            check_length(self._wanted_length, own, self._name)
        self._requested_attention = options.get("attn_implementation")
        if self._scoring != "padded" and options.get("attn_implementation") in OURS:  # nothing to load with
            options.pop("attn_implementation")
        if options.get("tokenizer") is not None and not isinstance(options["tokenizer"], str):
            options["tokenizer"] = copy.deepcopy(options["tokenizer"])  # the host gives it a pad token
        try:
            if self.processes({**options, "pretrained": pretrained}) > 1:
                processes.meet(device == "cpu")
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
        if hasattr(self, "accelerator"):
            self.peers = processes.meet(device == "cpu")
        if self.peers:
            logger.info("Process %d of %d, on %s, scores its share.", self.rank + 1, self.world_size, self.device)
        # again for a model that came loaded, or whose attention transformers chose
        attention_for(self.model.config, self.model.config._attn_implementation)

    def _get_config(self, pretrained: str, **kwargs) -> None:
        with finding_config(pretrained, kwargs.get("subfolder")):
            super()._get_config(pretrained, **kwargs)

    def _create_tokenizer(self, *args, **kwargs) -> None:
        super()._create_tokenizer(*args, **kwargs)
        self._own_pad_id = self.tokenizer.pad_token_id  # before the host picks one
        if not isinstance(length := self.tokenizer.model_max_length, (int, float)):
            raise UserError(f"found model_max_length {length!r} in the tokenizer's config, expected a number of tokens")

    def _create_model(self, pretrained: str, *, peft: str | None = None, **kwargs) -> None:
        own = kwargs.get("max_position_embeddings") or own_length(self.config, self.tokenizer)
        check_length(self._wanted_length, own, self._name, self.config)
        # flash attention knows no prefix trees
        may_flash = self._scoring == "padded" and self.device.type == "cuda"
        kwargs.update(attention_for(self.config, kwargs.get("attn_implementation"), may_flash))
        loader = self.loader(peft, kwargs.get("revision"))
        loader.refuse_delta(kwargs.get("delta"))
        self.AUTO_MODEL_CLASS = KeepsRows(loader, peft) if peft else loader
        super()._create_model(pretrained, peft=peft, **kwargs)
        del self.AUTO_MODEL_CLASS
        loader.check()

    def render_with(self, renderer: Renderer, chat_template: str | None) -> None:
        """Take what renders conversations, and try it.

        Raises:
            UserError: it shows the model the same of two responses, so that every pair would tie; the chat template or the
                length is to blame.
        """
        self.renderer = renderer
        renderer.vocabulary = getattr(self.model.get_input_embeddings(), "num_embeddings", None)
        self._probe = tried(renderer, self.probes, chat_template)

    # ranks: HFLM sets them only with several GPUs, and to the index within one node

    @property
    def rank(self) -> int:
        """Index of this process among all nodes'."""
        return self.peers.rank if self.peers else 0

    @property
    def world_size(self) -> int:
        """Number of processes that share the requests."""
        return self.peers.size if self.peers else 1

    # where the host has the ranks come together; a GPU's own connections notice no death

    def all_gather(self, tensor: torch.Tensor) -> torch.Tensor:
        """All ranks' tensors one after another, on the CPU; numbers become a vector."""
        return torch.cat([torch.atleast_1d(one) for one in self.peers.exchange(tensor.cpu())]) if self.peers else tensor

    def gather_object(self, obj: object, dst: int = 0) -> list[object] | None:
        """What all ranks bring, on rank `dst`."""
        return self.peers.gather(obj, dst) if self.peers else [obj]

    def barrier(self) -> None:
        """Wait for all ranks and add up their counts: the one call that the host makes on every rank after scoring."""
        if self.peers:
            with self.peers.together():
                pass
            self.total_counts = Counts.total(self.peers.exchange(self._last_line.counts))

    # what it says of itself

    @contextmanager
    def scoring_mode(self) -> Iterator[None]:
        """A caller's own model may be in training mode, and must be as it was afterwards."""
        with modes_kept(self.model):
            self.model.eval()
            yield

    def identity(self) -> dict[str, str]:
        """What decides a score beside rendering and attention, in words."""
        config, adapter = self.model.config, self.peft or self.delta
        quantization = getattr(config, "quantization_config", None)
        name = self.tokenizer.name_or_path
        return {
            "model": self._name,
            "revision": self._state(),
            "files": str(sorted(self._files.items())),
            "adapter": f"{adapter}, {checkpoints.revision_of(adapter, self.revision)}",
            "head": self.head_name(),
            "dtype": str(self.model.dtype),
            "mixed precision": str(self.mixed_precision_dtype),
            "quantization": str(quantization.to_dict() if hasattr(quantization, "to_dict") else quantization),
            "tokenizer": f"{name}, {checkpoints.revision_of(name, None)}, {len(self.tokenizer)} tokens, BOS "
            f"{self.add_bos_token}",
            "config": checkpoints.config_hash(config),
        }

    def reward_info(self) -> dict[str, object]:
        """For the results file."""
        return {
            "checkpoint": self._state(),
            "head": self.head_name(),
            "device": str(self.device),
            "tensor_parallel_size": ranks_within(self.model),
        }

    def _state(self) -> str:
        """The state of the model's own checkpoint, the hub's by its commit where that is known."""
        commit = getattr(self.model.config, "_commit_hash", None)
        return checkpoints.revision_of(self.pretrained, commit or self.revision)


@contextmanager
def modes_kept(model: torch.nn.Module | None) -> Iterator[None]:
    """Leave a model's parts in training mode where they were."""
    training = [module for module in model.modules() if module.training] if model is not None else []
    try:
        yield
    finally:
        for module in training:
            module.training = True
