"""Compiles a decoder layer by layer: one graph for all layers that are alike, in place only while a pack is computed."""

from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial

import torch

from skywork_rb_plugin.errors import UserError
from skywork_rb_plugin.scoring.attend import compiled_apart


class CompiledLayers:
    """The layers of a decoder, compiled, but for the last: there only the tokens that are read are computed (LastLayer).

    Args:
        decoder: has `layers`.
        dynamic: for all shapes at once, instead of for each.

    Raises:
        UserError: it has none.
    """

    def __init__(self, decoder: torch.nn.Module, dynamic: bool) -> None:
        layers = getattr(decoder, "layers", None)
        if not layers:
            raise UserError(f"found compile=True for {type(decoder).__name__}, which has no `layers`, expected False")
        # torch counts what it compiles for each device, and stops at 8
        compiled = defaultdict(lambda: compiled_apart(_forward, dynamic))
        self._forwards = {
            layer: partial(_call, compiled[_device(layer)], layer, number) for number, layer in enumerate(layers[:-1])
        }

    @contextmanager
    def in_place(self) -> Iterator[None]:
        """Have the decoder call the compiled layers."""
        before = {layer: vars(layer).get(_place(layer)) for layer in self._forwards}
        for layer, forward in self._forwards.items():
            setattr(layer, _place(layer), forward)
        try:
            yield
        finally:
            for layer, forward in before.items():
                delattr(layer, _place(layer))
                if forward is not None:
                    setattr(layer, _place(layer), forward)


def _place(layer: torch.nn.Module) -> str:
    """Where its forward is: a device map's hooks have one of their own, which brings inputs and weights to the device."""
    return "_old_forward" if hasattr(layer, "_hf_hook") else "forward"


def _device(layer: torch.nn.Module) -> torch.device:
    return next(layer.parameters()).device


def _call(compiled: Callable, layer: torch.nn.Module, number: int, *args, **kwargs):
    if "prefix_tree" in kwargs:
        kwargs["prefix_tree"] = kwargs["prefix_tree"].of_layer(number)
    return compiled(layer, *args, **kwargs)


def _forward(layer: torch.nn.Module, *args, **kwargs):
    return type(layer).forward(layer, *args, **kwargs)
