"""Stages of `gpu_trial.py`: the machine, its ceilings, whether scores are right, and what happens when memory runs out."""

import itertools
import os
import platform
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from statistics import pstdev

import torch
import transformers
from measuring import copy_ceiling, linear_shapes, matrix_product_ceiling
from observed import Subject, scores_of
from shapes import SHAPES, random_classifier, shape_config
from torch._dynamo.utils import counters
from trial import Trial

from skywork_rb_plugin.scoring.budget import free_memory
from skywork_rb_plugin.scoring.masks import layer_windows

# small models, with weights large enough that a wrong attention shows
_SMALL = {
    "vocab_size": 2048, "hidden_size": 256, "intermediate_size": 512, "num_hidden_layers": 3, "num_attention_heads": 4,
    "num_key_value_heads": 2, "pad_token_id": 2047, "initializer_range": 0.1,
}  # fmt: skip
_LLAMA, _QWEN = partial(transformers.LlamaConfig, **_SMALL), partial(transformers.Qwen3Config, **_SMALL)
_GEMMA = partial(transformers.Gemma2Config, **_SMALL, sliding_window=64)


def machine(trial: Trial) -> None:
    """What runs here."""
    found = {
        "tiny": trial.tiny, "torch": torch.__version__, "transformers": transformers.__version__, "python": platform.python_version(),
        "cores": os.cpu_count(), "threads": torch.get_num_threads(), "free GiB": free_memory(trial.device) / 2**30,
    }  # fmt: skip
    if trial.device.type == "cuda":
        properties = torch.cuda.get_device_properties(trial.device)
        found |= {"device": properties.name, "GiB": properties.total_memory / 2**30, "cuda": torch.version.cuda}
        if shutil.which("nvidia-smi"):
            asked = "driver_version,clocks.sm,clocks.max.sm,power.limit,temperature.gpu"
            command = ["nvidia-smi", f"--query-gpu={asked}", "--format=csv,noheader"]
            found[asked] = subprocess.run(command, capture_output=True, text=True).stdout.strip()
    trial.step("versions", lambda: found)


def ceilings(trial: Trial) -> None:
    """The most that matrix products reach, large square ones and those of one pack through the shapes; and copies."""
    tokens, side = (64, 64) if trial.tiny else (8192, 8192)

    def products(shapes: dict[str, tuple[int, int, int]]) -> dict:
        rates = {name: matrix_product_ceiling(trial.device, torch.bfloat16, shape) for name, shape in shapes.items()}
        if "square" in rates:
            trial.ceiling = rates["square"]
        return {f"{name}, TFLOP/s": rate / 1e12 for name, rate in rates.items()}

    trial.step("square", lambda: products({"square": (side, side, side)}))
    for name in SHAPES:
        layers = linear_shapes(shape_config(name, trial.tiny))
        shapes = {layer: (tokens, inputs, outputs) for layer, (inputs, outputs) in layers.items()}
        trial.step(name, partial(products, shapes))
    size = 2**20 if trial.tiny else 2**30
    trial.step("copy", lambda: {"TB/s": copy_ceiling(trial.device, size) / 1e12})


def correctness(trial: Trial) -> None:
    """Every way to attend, in two precisions, against conversations one by one: scores, and hidden states of one pack."""
    # what takes longest to compile comes last
    models = [
        _LLAMA(head_dim=64), _QWEN(head_dim=128), _GEMMA(head_dim=128), _LLAMA(head_dim=128), _GEMMA(head_dim=256),
    ]  # fmt: skip
    cases = list(itertools.product((torch.bfloat16, torch.float32), models))
    if trial.tiny:
        cases = [(torch.bfloat16, models[0]), (torch.float32, models[1]), (torch.bfloat16, models[2])]
    for dtype, config in cases:
        step = f"{config.model_type}, head size {config.head_dim}, {str(dtype).removeprefix('torch.')}"
        trial.step(step, partial(_every_way, trial, config, dtype), seconds=15)


def _every_way(trial: Trial, config: transformers.PretrainedConfig, dtype: torch.dtype) -> dict:
    torch._dynamo.reset()
    torch.manual_seed(0)
    subject = Subject(random_classifier(config, dtype, trial.device), trial.device)
    rows, longest, budget = (12, 160, 1024) if trial.tiny else (32, 400, 2048)
    ids = trial.ids("llama-3.1").first(rows, longest).folded(config.vocab_size)
    alone = dict(enumerate(subject.padded(1).score([sequence])[0] for sequence in ids.sequences))
    spread = pstdev(alone.values())
    # as the check at loading: rounding against what a mistake does, which moves scores by about their spread
    tolerance = (1e-3 if dtype == torch.float32 else 1 / 3) * spread
    found, wrong = {"spread": spread}, []

    def note(way: str, scores: dict[int, float]) -> None:
        found[way] = max(abs(scores[i] - score) for i, score in alone.items())
        if not found[way] <= tolerance:
            wrong.append(f"{way}: scores off by {found[way]}")

    note("padded batches", scores_of(subject.padded(), ids))
    for implementation in ("flex_attention", subject.model.config._attn_implementation, "prefix_tree"):
        start = time.perf_counter()
        tree = subject.tree(implementation, budget)
        states = subject.check(tree, _within(ids.sequences, budget))
        if "wrong" in states:
            wrong.append(f"{implementation}: {states.pop('wrong')}")
        else:
            note(implementation, scores_of(tree, ids))
        found |= {f"{implementation}, {name}": value for name, value in states.items()}
        found[f"{implementation}, seconds"] = time.perf_counter() - start
    return {**({"wrong": wrong} if wrong else {}), **found}


def models_in_a_row(trial: Trial) -> None:
    """Several models in one process: FlexAttention is compiled for each, once for each kind of layer."""
    cases = {
        "llama": _LLAMA(head_dim=64),
        "gemma2": _GEMMA(head_dim=64),
        "gemma2, other cap, window and scale": _GEMMA(
            head_dim=64, attn_logit_softcapping=30.0, query_pre_attn_scalar=144
        ),
        "qwen3": _QWEN(head_dim=64),
        "gemma2, a third cap": _GEMMA(head_dim=64, attn_logit_softcapping=20.0),
    }
    for name, config in cases.items():
        trial.step(name, partial(_compiled_apart, trial, config), seconds=10)


def _compiled_apart(trial: Trial, config: transformers.PretrainedConfig) -> dict:
    budget = 512
    subject = Subject(random_classifier(config, torch.bfloat16, trial.device), trial.device)
    ids = trial.ids("llama-3.1").first(12, 160).folded(config.vocab_size)
    counters.clear()
    found = subject.check(subject.tree("flex_attention", budget), _within(ids.sequences, budget))
    graphs, expected = counters["stats"]["unique_graphs"], len(layer_windows(config))
    if graphs != expected:
        found.setdefault("wrong", f"{graphs} graphs, expected {expected}")
    return {"graphs": graphs, **found}


def out_of_memory(trial: Trial) -> None:
    """A pack that does not fit: the budget is halved, and the run goes on."""

    def run() -> dict:
        config = shape_config("qwen-0.6b", trial.tiny)
        subject = Subject(random_classifier(config, torch.bfloat16, trial.device), trial.device)
        ids = trial.ids("qwen-3").first(1500, 2048).folded(config.vocab_size)
        tree = subject.tree("prefix_tree" if trial.tiny else "flex_attention", 1024 if trial.tiny else 65536)
        before = tree.budget
        with _little_memory(subject, trial.tiny):
            scores = scores_of(tree, ids)
        found = {"budget before": before, "after": tree.budget, "scored": len(scores), "of": len(ids.sequences)}
        right = tree.budget < before and len(scores) == len(ids.sequences)
        return {**({} if right else {"wrong": "the budget is not halved, or not all are scored"}), **found}

    trial.step("one run", run)


@contextmanager
def _little_memory(subject: Subject, tiny: bool) -> Iterator[None]:
    """Leave 1 GiB of the GPU's memory free; tiny models fit: refuse them inputs of more than 600 tokens in torch's words."""
    if not tiny:
        taken = [torch.empty(max(0, free_memory(subject.device) - 2**30), dtype=torch.uint8, device=subject.device)]
        try:
            yield
        finally:
            taken.clear()
        return

    def refuse(module, args, kwargs) -> None:
        if kwargs["input_ids"].shape[1] > 600:
            raise torch.OutOfMemoryError("more than 600 tokens")

    handle = subject.model.base_model.register_forward_pre_hook(refuse, with_kwargs=True)
    try:
        yield
    finally:
        handle.remove()


def _within(sequences: list[tuple[int, ...]], tokens: int) -> list[tuple[int, ...]]:
    """The first of them that have no more tokens together."""
    found = []
    for ids in sequences:
        if sum(map(len, found)) + len(ids) > tokens:
            break
        found.append(ids)
    return found
