"""Memory: how many tokens a pack may hold when the user leaves it to us, and which errors say that there is none left."""

import psutil
import torch
import transformers
from accelerate.utils.memory import should_reduce_batch_size

from skywork_rb_plugin.errors import UserError
from skywork_rb_plugin.scoring.masks import BLOCK

# on a CPU throughput was flat from 1024 to 4096 (docs/performance.md); FlexAttention skips what nobody sees, while dense
# masks of 8192 tokens put a quarter of all operations into pairs that are masked
_LARGEST = {"flex_attention": 8192, "other": 2048}
_SMALLEST = 4 * BLOCK
# of the free memory, for activations: what allocators and kernels need besides is not known
_SHARE = 0.5


class OutOfMemory(UserError):
    """There is none left, and nothing more to divide; the line ends where it can be told what becomes of earlier scores."""


def automatic_budget(model: transformers.PreTrainedModel, implementation: str, device: torch.device) -> int:
    """Tokens per pack: the most that is useful, halved until an estimate of the activations fits the free memory.

    The same on all ranks that compute the model's layers together.
    """
    budget = _LARGEST["other"] if device.type == "cpu" else _LARGEST.get(implementation, _LARGEST["other"])
    free = _SHARE * min(map(free_memory, devices_of(model, device)))
    while budget > _SMALLEST and activation_bytes(model, implementation, budget) > free:
        budget //= 2
    if ranks_within(model) > 1:
        # every pack is computed by all of them together
        least = torch.tensor(budget, device=device)
        torch.distributed.all_reduce(least, torch.distributed.ReduceOp.MIN)
        budget = int(least)
    return budget


def ranks_within(model: torch.nn.Module) -> int:
    """How many processes compute each layer together (`tp_plan`)."""
    return getattr(model, "tp_size", None) or 1


def devices_of(model: torch.nn.Module, device: torch.device) -> set[torch.device]:
    """Where its layers run, `device` being that of its inputs; weights that are offloaded come there when they are needed."""
    return {device} | {weight.device for weight in model.parameters() if weight.device.type not in ("meta", "cpu")}


def free_memory(device: torch.device) -> int:
    """Bytes that can still be had on the device; on others than CUDA and the CPU, of the computer."""
    if device.type == "cuda":
        return torch.cuda.mem_get_info(device)[0]
    return psutil.virtual_memory().available


def activation_bytes(model: transformers.PreTrainedModel, implementation: str, tokens: int) -> int:
    """Estimate of what one layer of a forward pass keeps at a time, in bytes.

    Counted per token: the residual stream, its norm and the attention's inputs and outputs, and the feed-forward layer's
    three intermediate vectors; per pair of tokens, the dense mask and, in eager attention, logits and float32 weights.
    """
    config = model.config.get_text_config()
    width, heads = config.hidden_size, config.num_attention_heads
    feed_forward = getattr(config, "intermediate_size", None) or 4 * width
    experts = getattr(config, "num_experts_per_tok", None) or 1
    size = model.dtype.itemsize
    linear = tokens * (10 * width + 3 * experts * feed_forward) * size
    per_pair = {"sdpa": 1 + size, "eager": size + heads * (2 * size + 4)}.get(implementation, 0)
    return linear + tokens * tokens * per_pair


def out_of_memory(error: Exception) -> bool:
    """Whether it says so: as accelerate knows it, or as CUDA and cuBLAS do where torch's allocator was not asked."""
    texts = ("CUDA error: out of memory", "CUBLAS_STATUS_ALLOC_FAILED")
    if isinstance(error, torch.OutOfMemoryError) or should_reduce_batch_size(error):
        return True
    return isinstance(error, RuntimeError) and any(text in str(error) for text in texts)
