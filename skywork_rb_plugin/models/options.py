"""The options of hf-reward, checked before anything is loaded: with a large model a typo should cost seconds."""

import difflib
import math
import numbers
import os
from collections.abc import Collection, Iterable, Mapping

import torch
import transformers

from skywork_rb_plugin.errors import UserError
from skywork_rb_plugin.heads.steps import REDUCTIONS
from skywork_rb_plugin.host import stated_length
from skywork_rb_plugin.scoring.attention import BY_BLOCKS

# kinds that the host runs on
_DEVICES = ("cpu", "cuda", "mps", "npu", "xpu")
# options that only sound like one
_NO_SECRETS = ("tokenizer", "use_fast_tokenizer", "add_bos_token", "prefix_token_id", "think_end_token")


def check_names(given: Iterable[str], known: Collection[str]) -> None:
    """Refuse an option that is likely a misspelt one; any other goes to the model's config, as in the host.

    Raises:
        UserError: names the nearest option.
    """
    for name in given:
        if name not in known and (near := difflib.get_close_matches(name, known, 1, cutoff=0.85)):
            raise UserError(f"found {name} in --model_args, did you mean {near[0]}?")


def check_values(options: Mapping) -> None:
    """Refuse what can't be meant; an option that is not there has its default.

    Raises:
        UserError: says what was found and what was expected.
    """
    pretrained, given = options.get("pretrained"), {key: value for key, value in options.items() if value is not None}
    if pretrained is None:
        raise UserError("found no pretrained=… in --model_args, expected a hub name, a folder, or demo")
    if not isinstance(pretrained, (str, os.PathLike, torch.nn.Module)):
        raise UserError(f"found pretrained={pretrained!r}, expected a hub name, a folder, or a loaded model")
    loaded = isinstance(pretrained, torch.nn.Module)
    if loaded and "tokenizer" not in given and not getattr(pretrained, "name_or_path", None):
        raise UserError("found a loaded model that has no name to load a tokenizer by, expected tokenizer=… beside it")
    check_rendering(given)
    check_batch_size(given.get("batch_size", 1), given.get("max_batch_size", 1))
    dtype = given.get("dtype", "auto")
    if isinstance(dtype, str) and dtype != "auto" and not isinstance(getattr(torch, dtype, None), torch.dtype):
        raise UserError(f"found dtype={dtype}, expected auto, bfloat16, float16 or float32")
    scoring, compiled = options.get("scoring", "auto"), options.get("compile", False)
    if (rule := options.get("pad_rule", "config")) not in ("config", "reference"):
        raise UserError(f"found pad_rule={rule}, expected config or reference")
    if (steps := given.get("steps", "last")) not in REDUCTIONS:
        raise UserError(f"found steps={steps}, expected one of {', '.join(REDUCTIONS)}")
    if scoring not in ("auto", "tree", "padded"):
        raise UserError(f"found scoring={scoring}, expected auto, tree or padded")
    if (budget := options.get("tokens_per_pack", "auto")) != "auto" and not is_count(budget):
        raise UserError(f"found tokens_per_pack={budget}, expected a whole number above 0, or auto")
    if type(compiled) is not bool:
        raise UserError(f"found compile={compiled}, expected True or False")
    if scoring == "padded" and given.get("attn_implementation") == BY_BLOCKS:
        raise UserError(f"found attn_implementation={BY_BLOCKS} with scoring=padded, expected scoring=tree")
    if compiled and scoring == "padded":
        raise UserError("found compile=True with scoring=padded, expected scoring=tree: padded batches vary in shape")
    if given.get("autogptq") or given.get("gptqmodel"):
        raise UserError("found autogptq or gptqmodel, which load only language models; expected load_in_4bit or 8bit")
    device_for(given.get("device"))


def check_rendering(given: Mapping) -> None:
    """Refuse what can't be meant of the options that decide what a model is given; None stands for no option.

    Raises:
        UserError: says what was found and what was expected.
    """
    if not isinstance(given.get("chat_template", ""), str):
        raise UserError(
            f"found chat_template={given['chat_template']!r}, expected a Jinja file or the name of a template"
        )
    if not isinstance(given.get("chat_template_args") or {}, Mapping):
        raise UserError(
            f"found chat_template_args={given['chat_template_args']!r}, expected names and values, as in --model_args "
            '\'{"chat_template_args": {"date_string": "26 Jul 2024"}}\''
        )
    for name in ("max_length", "max_position_embeddings"):
        if not is_count(length := given.get(name, 1)):
            raise UserError(f"found {name}={length!r}, expected a whole number of tokens above 0")


def check_length(wanted: int | None, own: int, model: str, config: transformers.PretrainedConfig | None = None) -> None:
    """Refuse a `max_length` of more tokens than a model has positions: it would fail on them, or make something up.

    Args:
        wanted: in tokens; None: the model's own is taken.
        own: the model's own; 0: it states none.
        model: its name.
        config: the config to which another length would go; None for that of a model that came loaded, which stays.

    Raises:
        UserError: names the model's own length.
    """
    if wanted and 0 < own < wanted:
        kinds = ", ".join(_ropes_by_length(config)) if config else ""
        changes = f" (which changes its rotary positions, of the kind {kinds}, and so all scores)" if kinds else ""
        raise UserError(
            f"found max_length={wanted}, expected at most {own}, the length that {model} states; if it can read more, say "
            f"so with max_position_embeddings={wanted} beside it in --model_args{changes}"
        )


def own_length(
    config: transformers.PretrainedConfig, tokenizer: transformers.PreTrainedTokenizerBase | None = None
) -> int:
    """The tokens that a model says it can read; 0: it says nothing, or reads any number, by distances alone.

    In DeBERTa and T5 `max_position_embeddings` and `n_positions` are what they were trained with: changing the first would
    change DeBERTa's distances, and so all scores (transformers, modeling_deberta_v2.py, build_relative_position).
    """
    by_distance = getattr(config, "relative_attention", False) and not getattr(config, "position_biased_input", True)
    is_t5 = getattr(config, "is_encoder_decoder", False) and hasattr(config, "relative_attention_num_buckets")
    return 0 if by_distance or is_t5 else stated_length(config, tokenizer)


def positions_of(model: torch.nn.Module) -> int | None:
    """The tokens that a table of positions has room for; None: there is no such table.

    RoBERTa's begins behind its padding id, so that its config's number is two too high (modeling_roberta.py).
    """
    for name, table in model.named_modules():
        if name.endswith("position_embeddings") and isinstance(table, torch.nn.Embedding):
            return table.num_embeddings - (0 if table.padding_idx is None else table.padding_idx + 1)
    return None


def _ropes_by_length(config: transformers.PretrainedConfig) -> list[str]:
    """Kinds of rotary positions that go by `max_position_embeddings` (transformers, modeling_rope_utils.py)."""
    kinds = {rope.get("rope_type", rope.get("type")) for rope in ropes_of(config.get_text_config())}
    return sorted({"dynamic", "longrope", "yarn"} & kinds)


def ropes_of(text: transformers.PretrainedConfig) -> list[Mapping]:
    """How rotary positions turn, by a decoder's config: what it says of all layers, then of each kind of layer."""
    ropes = getattr(text, "rope_parameters", None) or getattr(text, "rope_scaling", None) or {}
    return [ropes, *(rope for rope in ropes.values() if isinstance(rope, Mapping))]


def check_batch_size(size: object, most: object) -> None:
    """Refuse a `--batch_size` that is no whole number above 0, `auto`, or `auto:N` with N above 0.

    Args:
        size: as given, a number or a string.
        most: the `--max_batch_size`.

    Raises:
        UserError: says what was found and what was expected.
    """
    word, _, times = str(size).partition(":")
    try:
        fits = 0 < float(times or 1) < math.inf if word == "auto" else int(str(size)) > 0
    except ValueError:
        fits = False
    if not fits or str(size) == "auto:":
        raise UserError(
            f"found --batch_size {size}, expected a whole number above 0, auto, or auto:N to look for the size N times"
        )
    if not is_count(most):
        raise UserError(f"found --max_batch_size {most}, expected a whole number above 0")


def is_count(value: object) -> bool:
    """Whether it is a whole number above 0."""
    return isinstance(value, numbers.Integral) and not isinstance(value, bool) and value > 0


def plain(value: object) -> object:
    """A whole number as Python's own, such as one of numpy's, which the host refuses; anything else as it is."""
    return int(value) if isinstance(value, numbers.Integral) and not isinstance(value, bool) else value


def shown(options: Mapping) -> str:
    """Options as one writes them, for errors: those that are short, and no secrets.

    Args:
        options: names and values.
    """
    return ", ".join(
        f"{name}={value}"
        for name, value in options.items()
        if isinstance(value, (str, int)) and ("token" not in name or name in _NO_SECRETS)
    )


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
    except (RuntimeError, TypeError):
        device = None
    # the host takes the CPU for kinds that it does not know
    if device is None or device.type not in _DEVICES:
        raise UserError(f"found device={requested}, expected cpu, cuda, cuda:N or mps")
    if device.type == "cuda" and not count and str(device) == "cuda:0":
        return "cpu"
    if device.type == "cuda" and (device.index or 0) >= count:
        there = f"cuda:0 to cuda:{count - 1}" if count else "cpu: there is no CUDA device here"
        raise UserError(f"found device={requested}, expected {there}")
    return str(device)
