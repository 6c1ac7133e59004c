"""What benchmarks measure with: time, memory, a device's ceilings, and the operations of a forward pass."""

import contextlib
import ctypes
import gc
import threading
import time
from collections.abc import Callable

import psutil
import torch
import transformers


class PeakMemory:
    """The most memory that a block of code used beyond what was in use before: the device's, or the process's."""

    def __init__(self, device: torch.device) -> None:
        self._cuda, self._process, self._done = device.type == "cuda", psutil.Process(), threading.Event()

    def __enter__(self) -> "PeakMemory":
        gc.collect()
        with contextlib.suppress(OSError, AttributeError):  # glibc keeps freed memory, which would hide a peak
            ctypes.CDLL("libc.so.6").malloc_trim(0)
        if self._cuda:
            torch.cuda.reset_peak_memory_stats()
            self._before = torch.cuda.memory_allocated()
        else:
            self._before = self._peak = self._process.memory_info().rss
            self._watch = threading.Thread(target=self._sample)
            self._watch.start()
        return self

    def _sample(self) -> None:
        while not self._done.wait(0.01):
            self._peak = max(self._peak, self._process.memory_info().rss)

    def __exit__(self, *error: object) -> None:
        if self._cuda:
            self._peak = torch.cuda.max_memory_allocated()
        else:
            self._done.set()
            self._watch.join()

    @property
    def bytes(self) -> int:
        """Peak minus start."""
        return self._peak - self._before


def synchronize(device: torch.device) -> None:
    """Wait until the device has done what it was told."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def seconds_of(work: Callable[[], object], device: torch.device) -> float:
    """Seconds until the device has done it."""
    synchronize(device)
    start = time.perf_counter()
    work()
    synchronize(device)
    return time.perf_counter() - start


def matrix_product_ceiling(
    device: torch.device, dtype: torch.dtype, shape: tuple[int, int, int] = (8192, 8192, 8192)
) -> float:
    """Floating-point operations per second of (m, k) times (n, k) transposed, as linear layers do it; the best of ten."""
    m, k, n = shape
    inputs, weight = (torch.randn(rows, k, device=device, dtype=dtype) for rows in (m, n))

    def five_times() -> None:
        for _ in range(5):
            torch.nn.functional.linear(inputs, weight)

    return 5 * 2 * m * k * n / min(seconds_of(five_times, device) for _ in range(10))


def copy_ceiling(device: torch.device, size: int) -> float:
    """Bytes per second that the device reads and writes when it copies `size` bytes within its memory; the best of ten."""
    source = torch.zeros(size, dtype=torch.uint8, device=device)
    target = torch.empty_like(source)
    return 2 * size / min(seconds_of(lambda: target.copy_(source), device) for _ in range(10))


def linear_shapes(config: transformers.PretrainedConfig) -> dict[str, tuple[int, int]]:
    """Inputs and outputs of the linear layers of a Llama-like decoder layer, those that read the same as one."""
    width, inner = config.hidden_size, config.intermediate_size
    per_head = getattr(config, "head_dim", None) or width // config.num_attention_heads
    heads, groups = config.num_attention_heads, config.num_key_value_heads
    return {
        "query, key, value": (width, (heads + 2 * groups) * per_head),
        "attention output": (heads * per_head, width),
        "gate and up": (width, 2 * inner),
        "down": (inner, width),
    }


def operations(config: transformers.PretrainedConfig, tokens: int, pairs: int, last_mlp: int | None = None) -> int:
    """Floating-point operations of a forward pass through a Llama-like decoder: matrix products and attention.

    Args:
        config: the model's.
        tokens: that are computed.
        pairs: of a token and one that it attends to, itself included; windows that hide some are not heeded.
        last_mlp: of how many tokens the last layer's feed-forward part is computed, if not of all.
    """
    per_token = {name: 2 * inputs * outputs for name, (inputs, outputs) in linear_shapes(config).items()}
    mlp = per_token["gate and up"] + per_token["down"]
    spared = 0 if last_mlp is None else (tokens - last_mlp) * mlp
    attended = 4 * pairs * linear_shapes(config)["attention output"][0]
    return config.num_hidden_layers * (tokens * sum(per_token.values()) + attended) - spared


def verdicts(scores: list[float]) -> list[bool]:
    """Whether the chosen response scores strictly higher, as in `acc`, of scores that alternate chosen and rejected."""
    return [chosen > rejected for chosen, rejected in zip(scores[::2], scores[1::2], strict=True)]
