"""Keeps a score cache (`--use_cache`) to the model that filled it: the host's key knows nothing of the model."""

import hashlib
from collections.abc import Iterable, Mapping, MutableMapping
from pathlib import Path
from typing import TYPE_CHECKING

from skywork_rb_plugin import __version__
from skywork_rb_plugin.errors import UserError

if TYPE_CHECKING:
    from skywork_rb_plugin.models.hf_reward import HFReward
    from skywork_rb_plugin.models.rendering import Renderer

_KEY = "skywork_rb_plugin:fingerprint"
_RANKED = "skywork_rb_plugin:ranked tasks"

_SAMPLES, _SAMPLE_BYTES = 64, 65536


def claim(database: MutableMapping, fingerprint: Mapping[str, str]) -> None:
    """Mark a new cache as this model's, or check that an old one is.

    Raises:
        UserError: another model filled it, or this one under other settings.
    """
    path = getattr(database, "filename", "the cache")
    stored = database.get(_KEY)
    if stored is None:
        if len(database):
            raise UserError(_refusal(path, "holds scores of unknown origin (another model's?)"))
        database[_KEY] = dict(fingerprint)
        return
    differing = [key for key in fingerprint.keys() | stored.keys() if fingerprint.get(key) != stored.get(key)]
    if differing:
        key = min(differing)
        found = f"was made with {key} {stored.get(key)}, this run has {fingerprint.get(key)}"
        raise UserError(_refusal(path, found))


def fingerprint(model: "HFReward", renderer: "Renderer", pad_rule: str) -> dict[str, str]:
    """Everything that decides a score, in words."""
    config = model.model.config
    quantization = getattr(config, "quantization_config", None)
    adapter = model.peft or model.delta
    return {
        "model": str(model.pretrained) if isinstance(model.pretrained, str) else type(model.pretrained).__name__,
        "revision": _revision(model.pretrained, getattr(config, "_commit_hash", None) or model.revision),
        "adapter": f"{adapter}, {_revision(adapter, model.revision)}",
        "dtype": str(model.model.dtype),
        "mixed precision": str(model.mixed_precision_dtype),
        "quantization": str(quantization.to_dict() if hasattr(quantization, "to_dict") else quantization),
        "attention": str(config._attn_implementation),
        "tokenizer": f"{model.tokenizer.name_or_path}, {len(model.tokenizer)} tokens, BOS {model.add_bos_token}",
        "chat template": renderer.template_sha256[:16],
        "chat template arguments": str(sorted(model.chat_template_args.items())),
        "chat template date": str(renderer.template_date),
        "max length": str(model.max_length),
        "pad rule": pad_rule,
        "plugin": f"version {__version__.split('.')[0]}",
    }


def ranked_tasks(database: MutableMapping | None) -> set[str]:
    """Tasks whose documents were seen whole before: of a resumed one, single requests may be left."""
    return set(database.get(_RANKED) or ()) if database is not None else set()


def remember_ranked(database: MutableMapping | None, tasks: Iterable[str]) -> None:
    """Note tasks whose documents have several continuations."""
    if database is not None:
        database[_RANKED] = sorted(ranked_tasks(database) | set(tasks))


def folder_hash(folder: str | Path) -> str:
    """Hash of a local checkpoint: names and sizes of its files, and samples spread over each of them.

    64 samples of 64 KiB tell retrained weights apart without reading 50 GB.
    """
    digest = hashlib.sha256()
    for file in sorted(path for path in Path(folder).rglob("*") if path.is_file()):
        size = file.stat().st_size
        digest.update(f"{file.relative_to(folder)}:{size}\n".encode())
        with file.open("rb") as handle:
            for i in range(_SAMPLES):
                handle.seek(max(0, size - _SAMPLE_BYTES) * i // (_SAMPLES - 1))
                digest.update(handle.read(_SAMPLE_BYTES))
                if size <= _SAMPLE_BYTES:
                    break
    return digest.hexdigest()[:16]


def _revision(model: object, revision: str | None) -> str:
    is_folder = isinstance(model, str) and Path(model).is_dir()
    return f"files {folder_hash(model)}" if is_folder else str(revision)


def _refusal(path: str, found: str) -> str:
    return f"the cache {path} {found}; give another --use_cache path, or delete that file"
