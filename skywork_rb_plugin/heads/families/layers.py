"""Reads the layers of a value head from a checkpoint: one linear layer, or several with ReLU between."""

import itertools
import re

import torch

from skywork_rb_plugin.errors import UserError
from skywork_rb_plugin.heads.checkpoint import Checkpoint
from skywork_rb_plugin.heads.family import Loaded, linear

# weights (outputs, inputs) and biases (outputs,) of each linear layer
Layers = list[tuple[torch.Tensor, torch.Tensor | None]]


def read_layers(checkpoint: Checkpoint, name: str, biased: bool = False) -> Layers:
    """The layers from hidden states to one number, as they are stored, on the CPU.

    Args:
        checkpoint: what has them.
        name: of the only layer, with `name.weight`; or of several, with `name.0.weight`, `name.2.weight` and so on.
        biased: whether each must have a bias; otherwise those that have one are.

    Raises:
        UserError: one is missing, or they do not fit each other, the hidden states or one number.
    """
    if checkpoint.has(f"{name}.weight"):
        names = [name]
    else:
        numbers = {
            int(key.split(".")[-2]) for key in checkpoint.names if re.fullmatch(rf"{re.escape(name)}\.\d+\.\w+", key)
        }
        # between them are ReLUs; where only the first is there, the last one is missing
        names = [f"{name}.{i}" for i in range(0, max(*numbers, 2) + 1, 2)] if numbers else [name]
    layers = []
    for layer in names:
        weight = checkpoint.tensor(f"{layer}.weight")
        has_bias = biased or checkpoint.has(f"{layer}.bias")
        layers.append((weight, checkpoint.tensor(f"{layer}.bias") if has_bias else None))
    _check_shapes(checkpoint, names, layers)
    return layers


def module(loaded: Loaded, layers: Layers, dtype: torch.dtype | None = None) -> torch.nn.Module:
    """The layers on the model's device, hidden states (reads, hidden size) -> (reads, 1), in the model's dtype or another."""
    made = []
    for weight, bias in layers:
        placed = None if bias is None else loaded.place(bias, dtype)
        made += [linear(loaded.place(weight, dtype), placed), torch.nn.ReLU()]
    return torch.nn.Sequential(*made[:-1])


def _check_shapes(checkpoint: Checkpoint, names: list[str], layers: Layers) -> None:
    config = checkpoint.config.get_text_config()
    # OPT may project the hidden states of its last layer
    size = getattr(config, "word_embed_proj_dim", config.hidden_size)
    outputs = [*(weight.shape[0] if weight.dim() == 2 else 0 for weight, _ in layers[:-1]), 1]
    expected = list(itertools.pairwise([size, *outputs]))
    for name, (weight, bias), (inputs, width) in zip(names, layers, expected, strict=True):
        for part, tensor, shape in (("weight", weight, (width, inputs)), ("bias", bias, (width,))):
            if tensor is not None and tuple(tensor.shape) != shape:
                raise UserError(
                    f"{checkpoint.name} ({checkpoint.architecture}) has {name}.{part} of the shape {tuple(tensor.shape)}, "
                    f"expected {shape}: a head from {size} hidden states to one number; tensors beside the layers: "
                    f"{checkpoint.in_words}"
                )
