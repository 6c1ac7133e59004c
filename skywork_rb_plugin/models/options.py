"""The options of hf-reward, checked before anything is loaded: with a large model a typo should cost seconds."""

import difflib
import os
from collections.abc import Collection, Iterable, Mapping

import torch

from skywork_rb_plugin.errors import UserError
from skywork_rb_plugin.scoring.attention import BY_BLOCKS


def check_names(given: Iterable[str], known: Collection[str]) -> None:
    """Refuse an option that is likely a misspelt one; any other goes to the model's config, as in the host.

    Raises:
        UserError: names the nearest option.
    """
    for name in given:
        if name not in known and (near := difflib.get_close_matches(name, known, 1, cutoff=0.85)):
            raise UserError(f"found {name} in --model_args, did you mean {near[0]}?")


def check_values(pretrained, chat_template, pad_rule, scoring, tokens_per_pack, compiled, others: Mapping) -> None:
    """Refuse what can't be meant.

    Raises:
        UserError: says what was found and what was expected.
    """
    if pretrained is None:
        raise UserError("found no pretrained=… in --model_args, expected a hub name, a folder, or demo")
    if not isinstance(pretrained, (str, os.PathLike, torch.nn.Module)):
        raise UserError(f"found pretrained={pretrained!r}, expected a hub name, a folder, or a loaded model")
    loaded = isinstance(pretrained, torch.nn.Module)
    if loaded and others.get("tokenizer") is None and not getattr(pretrained, "name_or_path", None):
        raise UserError("found a loaded model that has no name to load a tokenizer by, expected tokenizer=… beside it")
    if chat_template is not None and not isinstance(chat_template, str):
        raise UserError(f"found chat_template={chat_template!r}, expected a Jinja file or the name of a template")
    if not isinstance(others.get("chat_template_args") or {}, Mapping):
        raise UserError(
            f"found chat_template_args={others['chat_template_args']!r}, expected names and values, as in --model_args "
            '\'{"chat_template_args": {"date_string": "26 Jul 2024"}}\''
        )
    length = others.get("max_length")
    if length is not None and not (type(length) is int and length > 0):
        raise UserError(f"found max_length={length!r}, expected a whole number of tokens above 0")
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


def device_for(requested: str | torch.device | None) -> str:
    """The device to load to; by default CUDA where there is one, else the CPU.

    The host's command line asks for `cuda:0` where the user gave no `--device`: without CUDA that is the CPU too.

    Raises:
        UserError: there is no such device.
    """
    count = torch.cuda.device_count()
    if requested is None:
        return "cuda" if count else "cpu"
    try:
        device = torch.device(requested)
    except RuntimeError as error:
        raise UserError(f"found device={requested}, expected cpu, cuda, cuda:N or mps") from error
    if device.type == "cuda" and not count and str(device) == "cuda:0":
        return "cpu"
    if device.type == "cuda" and (device.index or 0) >= count:
        there = f"cuda:0 to cuda:{count - 1}" if count else "cpu: there is no CUDA device here"
        raise UserError(f"found device={requested}, expected {there}")
    return str(device)
