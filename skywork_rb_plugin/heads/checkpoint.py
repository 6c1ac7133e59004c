"""What a checkpoint is, before and after its decoder is loaded: its config, the names of its tensors, and single tensors."""

import functools
import json
import zipfile
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import torch
import transformers
from safetensors import safe_open
from transformers.models.auto.modeling_auto import MODEL_FOR_MASKED_LM_MAPPING_NAMES
from transformers.utils import cached_file

from skywork_rb_plugin.errors import UserError

_WEIGHTS = ("model.safetensors", "pytorch_model.bin")
# what else torch.save is used for
_OTHER_WEIGHTS = (".pt", ".pth", ".bin", ".ckpt")
# where a head may lie apart, the last one wins: LLaMA-Factory's files beside model or adapter, the first as trl saves it
# beside an adapter (its trl/experimental/ppo/modeling_value_head.py, save_pretrained)
_BESIDE_ADAPTER = "pytorch_model.bin"
_VALUE_HEADS = ("value_head.bin", "value_head.safetensors")


class Checkpoint:
    """A checkpoint on disk, on the hub, or a model that came loaded.

    Tensors of a head are few and small: they are read one by one, whatever loads the decoder.

    Args:
        name: as the user calls it.
        config: its config.
        path: folder or hub name; None for a model that came loaded.
        model: that model.
        adapter: folder or hub name of a PEFT adapter, which may bring the head; its files go before the base's.
        options: `label`, `steps` and the like from --model_args, for the head.
        files: how files are found: `revision`, `subfolder`, `variant`, `gguf_file`.
    """

    def __init__(
        self,
        name: str,
        config: transformers.PretrainedConfig,
        path: str | None = None,
        model: torch.nn.Module | None = None,
        adapter: str | None = None,
        options: Mapping[str, object] | None = None,
        files: Mapping[str, object] | None = None,
    ) -> None:
        self.name, self.config, self.path, self.adapter = name, config, path, adapter
        self._model, self._files = model, dict(files or {})
        self._options = {key: value for key, value in (options or {}).items() if value is not None}
        self._read: set[str] = set()  # tensors and options that a head took

    # the config

    @property
    def architectures(self) -> list[str]:
        """The names of classes in the config, or the class of a model that came loaded."""
        if self._model is not None:
            return [type(self._inner).__name__]
        return list(self.config.architectures or [])

    @property
    def _inner(self) -> torch.nn.Module:
        """A model that came loaded, without the adapter around it."""
        return self._model.get_base_model() if hasattr(self._model, "get_base_model") else self._model

    @property
    def architecture(self) -> str:
        """The same in words."""
        return ", ".join(self.architectures or ["unknown architecture"])

    @property
    def labels(self) -> str:
        """How many labels the config has, and which, in words."""
        labels = ", ".join(str(label) for label in list(self.config.id2label.values())[:5])
        return f"{self.config.num_labels} label{'s' * (self.config.num_labels != 1)} ({labels})"

    def setting(self, key: str, default: object = None) -> object:
        """A value of the config that transformers may not know of."""
        return getattr(self.config, key, default)

    def own_code(self, auto_class: str) -> str | None:
        """The code that comes with it for an auto class of transformers; None where transformers has the class itself."""
        own = (self.setting("auto_map") or {}).get(auto_class)
        return own if own and not any(hasattr(transformers, name) for name in self.architectures) else None

    @property
    def revision(self) -> str:
        """Of its files on the hub, and of its adapter's."""
        return self._files.get("revision") or "main"

    # options

    def option(self, key: str) -> object:
        """An option of --model_args, or None."""
        self._read.add(key)
        return self._options.get(key)

    def unused_options(self) -> list[str]:
        """Options that were given and that no head asked for."""
        return [f"{key}={value}" for key, value in self._options.items() if key not in self._read]

    # tensors

    @functools.cached_property
    def names(self) -> frozenset[str]:
        """The names of its tensors; empty where they can't be known before it is loaded, as in a GGUF file."""
        return frozenset(self._places)

    @property
    def beside_layers(self) -> list[str]:
        """The names of tensors that are no decoder layer's, for errors: the head is among them, if there is one."""
        return sorted(name for name in self.names if ".layers." not in name and not name.startswith("layers."))

    @property
    def in_words(self) -> str:
        """The first of these, or why there is none, for errors."""
        if beside := self.beside_layers:
            return ", ".join(beside[:6])
        folder = Path(self.path or "", self._files.get("subfolder") or "")
        files = sorted(file.name for file in folder.glob("*") if file.suffix in _OTHER_WEIGHTS) if self.path else []
        return (
            f"none: {files[0]} has to be called pytorch_model.bin to be found" if files else "none that can be listed"
        )

    def has(self, *names: str) -> bool:
        """Whether it has all of these tensors."""
        return self.names.issuperset(names)

    def tensor(self, name: str) -> torch.Tensor:
        """One tensor, as it is stored, on the CPU.

        Raises:
            UserError: there is none of this name; the line tells which there are.
        """
        return self.tensors([name])[name]

    def tensors(self, names: Iterable[str]) -> dict[str, torch.Tensor]:
        """Several, likewise; each file is read once.

        Raises:
            UserError: one is missing.
        """
        found: dict[str, torch.Tensor] = {}
        by_file: dict[str | Path, list[str]] = {}
        for name in names:
            if name not in self._places:
                raise UserError(
                    f"found no tensor {name} in {self.name} ({self.architecture}), expected the head to be whole; its tensors "
                    f"beside the layers: {self.in_words}"
                )
            self._read.add(name)
            place = self._places[name]
            if isinstance(place, torch.Tensor):
                found[name] = place.detach().cpu()
            else:
                by_file.setdefault(place, []).append(name)
        for place, some in by_file.items():
            if (file := place if isinstance(place, Path) else self._file(place, in_adapter=False)) is None:
                raise UserError(f"found no file {place} of {self.name}, expected it whole: {some[0]} is in it")
            found.update(_tensors_of(file, some))
        return found

    def unread(self, loaded: Sequence[str]) -> list[str]:
        """Of names that the decoder did not take, those that no head read."""
        return sorted(set(loaded) - self._read)

    # files

    def tensors_in(self, file: str) -> dict[str, torch.Tensor]:
        """All tensors of a file beside the weights, such as `value_head.safetensors`; empty where there is no such file."""
        found = self._file(file)
        return {} if found is None else _tensors_of(found)

    def has_file(self, name: str) -> bool:
        """Whether there is a file of this name beside the weights."""
        return self._file(name) is not None

    @property
    def weight_files(self) -> frozenset[str]:
        """The names of the files that hold its weights; empty where they can't be known."""
        return frozenset(self._weights().values())

    @functools.cached_property
    def _places(self) -> Mapping[str, str | Path | torch.Tensor]:
        """Of each tensor the file that has it, by its name among the weights or its path, or itself of a loaded model."""
        if self._model is not None:
            return self._inner.state_dict()
        places: dict[str, str | Path] = dict(self._weights())
        apart = [self._file(name, in_adapter=False) for name in _VALUE_HEADS]
        apart += [self._file(name, in_base=False) for name in (_BESIDE_ADAPTER, *_VALUE_HEADS)]
        for file in filter(None, apart):
            places.update(dict.fromkeys(_names_of(file), file))
        return places

    def _weights(self) -> Mapping[str, str]:
        """Of each tensor of the checkpoint itself, the name of its file."""
        variant = self._files.get("variant")
        for weights in _WEIGHTS:
            # as transformers names them (modeling_utils.py, _add_variant)
            name, index = (
                f".{variant}.".join(file.rsplit(".", 1)) if variant else file
                for file in (weights, f"{weights}.index.json")
            )
            if (file := self._file(index, in_adapter=False)) is not None:
                return json.loads(file.read_text("utf-8"))["weight_map"]
            if (file := self._file(name, in_adapter=False)) is not None:
                return dict.fromkeys(_names_of(file), name)
        return {}

    @functools.cache  # noqa: B019  as long-lived as its checkpoint
    def _file(self, name: str, in_adapter: bool = True, in_base: bool = True) -> Path | None:
        """A file of the adapter or the checkpoint; None where there is none."""
        if self._files.get("gguf_file"):
            return None
        found = None
        quietly = {
            f"_raise_exceptions_for_{what}": False for what in ("missing_entries", "gated_repo", "connection_errors")
        }
        if in_adapter and self.adapter is not None:
            # the host takes the same revision for both
            found = cached_file(self.adapter, name, revision=self.revision, **quietly)
        if in_base and found is None and self.path is not None:
            subfolder = self._files.get("subfolder") or ""
            found = cached_file(self.path, name, revision=self.revision, subfolder=subfolder, **quietly)
        return None if found is None else Path(found)


def is_encoder(config: transformers.PretrainedConfig) -> bool:
    """Whether tokens see those after them: in an encoder, also one with a decoder behind it (T5, BART)."""
    masked = config.model_type in MODEL_FOR_MASKED_LM_MAPPING_NAMES and not getattr(config, "is_decoder", False)
    return masked or getattr(config, "is_encoder_decoder", False)


def _names_of(file: Path) -> list[str]:
    if file.suffix == ".safetensors":
        with safe_open(file, "pt") as tensors:
            return list(tensors.keys())
    return list(_opened(file))


def _tensors_of(file: Path, names: Sequence[str] | None = None) -> dict[str, torch.Tensor]:
    if file.suffix == ".safetensors":
        with safe_open(file, "pt") as tensors:
            return {name: tensors.get_tensor(name) for name in names or tensors.keys()}
    loaded = _opened(file)
    return {name: loaded[name] for name in names or loaded}


def _opened(file: Path) -> dict[str, torch.Tensor]:
    """What torch.save wrote; read as it is needed, but for files of its format before 1.6."""
    return torch.load(file, map_location="cpu", weights_only=True, mmap=zipfile.is_zipfile(file))
