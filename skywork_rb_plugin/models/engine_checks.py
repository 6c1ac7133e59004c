"""Checkpoints of which vLLM would compute something else than transformers: refused before it starts."""

import re
from collections.abc import Collection, Iterable
from pathlib import Path

import torch
from huggingface_hub import list_repo_files
from transformers.utils import cached_file

from skywork_rb_plugin.errors import UserError
from skywork_rb_plugin.heads.checkpoint import Checkpoint
from skywork_rb_plugin.heads.family import Family
from skywork_rb_plugin.models.options import ropes_of

# of these vLLM makes one itself, of a language model's class
_CLASSIFIER = re.compile(r"For(Sequence|Token)Classification$")
_WHOLE = "model.safetensors"
# vLLM takes all files that end so, of the first kind that there is
_KINDS = (".safetensors", ".bin")
# and passes over these (vllm, weight_utils.py, filter_files_not_needed_for_inference)
_NO_WEIGHTS = ("training_args.bin", "optimizer.bin")


def check_checkpoint(family: Family, checkpoint: Checkpoint) -> None:
    """Refuse code, adapters, weight files and keys of the config that the two take differently.

    Raises:
        UserError: says what was found; --model hf-reward reads it.
    """
    if family.remote_code and (own := checkpoint.own_code(family.auto_class)):
        raise _refusal(checkpoint, f"code of its own ({own})", "which vLLM would not run")
    if checkpoint.has_file("adapter_config.json"):
        raise _refusal(checkpoint, "an adapter (adapter_config.json)", "which vLLM would leave out")
    for key in ("classifier_from_token", "method"):
        if (value := checkpoint.setting(key)) is not None:
            raise _refusal(checkpoint, f"{key}={value!r}", "by which vLLM would make a head of its lm_head")
    text = checkpoint.config.get_text_config()
    if getattr(text, "is_causal", True) is False:
        raise _refusal(checkpoint, "is_causal=False", "which vllm-reward can't read rewards of")
    if text.model_type in ("qwen2", "qwen3") and len(set(getattr(text, "layer_types", None) or ())) > 1:
        raise _refusal(
            checkpoint,
            f"sliding windows in some layers (max_window_layers={text.max_window_layers})",
            f"which vLLM's {text.model_type} does not have",
        )
    _check_files(checkpoint)


def check_tensors(family: Family, checkpoint: Checkpoint, model: torch.nn.Module) -> None:
    """Once the head is made: refuse tensors beside the layers that neither it nor the model takes.

    vLLM adds a `score.bias` that transformers' classifiers do not read, and fails on others without a reason.

    Args:
        family: whose head it is.
        checkpoint: the checkpoint.
        model: the model of transformers.

    Raises:
        UserError: names them.
    """
    known, prefix = set(model.state_dict()), f"{model.base_model_prefix}."

    def taken(name: str) -> bool:
        return name.startswith("lm_head.") or not known.isdisjoint((name, prefix + name, name.removeprefix(prefix)))

    if unread := checkpoint.unread([name for name in checkpoint.beside_layers if not taken(name)]):
        raise _refusal(checkpoint, _list(unread), f"which the head {family.name} does not read and vLLM would load")


def check_class(checkpoint: Checkpoint, architectures: Collection[str], known: Collection[str]) -> None:
    """Refuse a class that vLLM does not have: the decoder alone, which it would take then, loads no such checkpoint.

    Args:
        checkpoint: the checkpoint.
        architectures: the classes as which vLLM gets it.
        known: those that vLLM has.

    Raises:
        UserError: names the classes.
    """
    wanted = {twin for name in architectures for twin in (name, _CLASSIFIER.sub("ForCausalLM", name))}
    if wanted.isdisjoint(known):
        raise _refusal(checkpoint, f"the class {', '.join(architectures)}", "which vLLM does not have")


def check_positions(checkpoint: Checkpoint, length: int) -> None:
    """Refuse conversations so long that vLLM would change the rotary positions of all, also of short ones.

    Args:
        checkpoint: whose config says how positions turn.
        length: of the longest conversation, in tokens.

    Raises:
        UserError: names the length up to which they are as in transformers.
    """
    text = checkpoint.config.get_text_config()
    for rope in ropes_of(text):
        own = rope.get("original_max_position_embeddings") or getattr(text, "original_max_position_embeddings", None)
        if rope.get("rope_type", rope.get("type")) in ("longrope", "su") and own and length > own:
            raise UserError(
                f"found max_length={length} with {checkpoint.name}, whose rotary positions (longrope) change after {own} "
                f"tokens, in vLLM for shorter conversations too, expected max_length={own} or --model hf-reward"
            )


def _check_files(checkpoint: Checkpoint) -> None:
    """Without an index, vLLM loads every file of a kind, and what comes last wins."""
    there = _names(checkpoint)
    theirs = next(
        (some for kind in _KINDS if (some := {n for n in there if n.endswith(kind) and not n.endswith(_NO_WEIGHTS)})),
        set(),
    )
    if f"{_WHOLE}.index.json" in there:
        theirs &= checkpoint.weight_files
    own = {_WHOLE} if _WHOLE in there else set(checkpoint.weight_files)
    if theirs != own:
        raise UserError(
            f"found the files {_list(theirs)} of {checkpoint.name}, which vLLM would load, where transformers loads "
            f"{_list(own)}, expected the same; move others away, or take --model hf-reward"
        )


def _names(checkpoint: Checkpoint) -> set[str]:
    """Names of the files beside its config; on the hub, where that can be asked, all that are there."""
    folder = Path(checkpoint.path)
    if not folder.is_dir():
        try:
            return {name for name in list_repo_files(checkpoint.path, revision=checkpoint.revision) if "/" not in name}
        except Exception:
            # of any kind without a connection: what was fetched before is what vLLM finds
            folder = Path(cached_file(checkpoint.path, "config.json", revision=checkpoint.revision)).parent
    return {file.name for file in folder.iterdir()}


def _list(names: Iterable[str]) -> str:
    first, *others = sorted(names) or ["(none)"]
    return ", ".join([first, *others][:4]) + (f" and {len(others) - 3} more" if len(others) > 3 else "")


def _refusal(checkpoint: Checkpoint, found: str, why: str) -> UserError:
    return UserError(
        f"found {found} in {checkpoint.name} ({checkpoint.architecture}), {why}, expected --model hf-reward for it"
    )
