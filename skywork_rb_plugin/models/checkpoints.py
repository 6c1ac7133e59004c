"""Which checkpoint a model is: hashes of its files, its weights and its config; and which of its files is damaged."""

import hashlib
import json
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from transformers import PretrainedConfig, PreTrainedModel

_SAMPLES, _SAMPLE_BYTES = 64, 65536
_CONFIGS = ("config.json", "tokenizer.json", "tokenizer_config.json", "chat_template.jinja")
_NEVER_EMPTY = ("config.json", "tokenizer.json")
_MODEL_FILES = {".safetensors", ".bin", ".pt", ".gguf", ".json", ".model", ".jinja", ".txt", ".py"}


def folder_hash(folder: str | Path) -> str:
    """Hash of a local checkpoint: names and sizes of its model and tokenizer files, and samples spread over them.

    64 samples of 64 KiB a file tell retrained weights apart without reading 50 GB. Sub-folders count (`subfolder=`),
    results and caches that lie there do not.
    """
    digest = hashlib.sha256()
    for file in sorted(path for path in Path(folder).rglob("*") if path.suffix in _MODEL_FILES and path.is_file()):
        if file.name.startswith("results_"):
            continue
        size = file.stat().st_size
        digest.update(f"{file.relative_to(folder)}:{size}\n".encode())
        with file.open("rb") as handle:
            for i in range(_SAMPLES):
                handle.seek(max(0, size - _SAMPLE_BYTES) * i // (_SAMPLES - 1))
                digest.update(handle.read(_SAMPLE_BYTES))
                if size <= _SAMPLE_BYTES:
                    break
    return digest.hexdigest()[:16]


def config_hash(config: "PretrainedConfig") -> str:
    """Hash of the config that is in force, also where --model_args changed it."""
    unstable = ("_name_or_path", "transformers_version", "pad_token_id", "text_config")
    values = {key: value for key, value in config.to_dict().items() if key not in unstable}
    return hashlib.sha256(repr(sorted(values.items())).encode()).hexdigest()[:16]


def _weights_hash(model: "PreTrainedModel") -> str:
    """Hash of a loaded model's weights: up to 64 numbers of each tensor."""
    digest = hashlib.sha256()
    for name, tensor in model.state_dict().items():
        sample = tensor.flatten()[:: max(1, tensor.numel() // 64)].float().cpu()
        digest.update(f"{name}{tuple(tensor.shape)}{sample.tolist()}".encode())
    return digest.hexdigest()[:16]


def revision_of(model: object, revision: str | None) -> str:
    """The state of a checkpoint: a hash of a folder's files or of a loaded model's weights, or the hub's revision."""
    if model is not None and not isinstance(model, str):
        return f"weights {_weights_hash(model)}"
    # a tokenizer that was made in memory has no name, and an empty path is the working folder
    is_folder = isinstance(model, str) and model != "" and Path(model).is_dir()
    return f"files {folder_hash(model)}" if is_folder else str(revision)


def damaged_file(folder: str | Path) -> str | None:
    """The first of a local checkpoint's small files that can't be what it should be, and why; None if there is none.

    transformers tells what its parser met, but not in which file.
    """
    for file in (Path(folder) / name for name in _CONFIGS):
        try:
            text = file.read_text("utf-8") if file.is_file() else None
            content = json.loads(text) if text is not None and file.suffix == ".json" else {"text": text}
        except ValueError as error:
            return f"{file} ({type(error).__name__}: {' '.join(str(error).split())[:100]})"
        if not isinstance(content, dict) or (not content and file.name in _NEVER_EMPTY):
            return f"{file} (found {text[:20]!r}, expected a JSON object with entries)"
    return None
