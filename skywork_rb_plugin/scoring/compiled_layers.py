"""Compiles a decoder layer by layer: one graph for all layers that are alike, in place only while a pack is computed."""

from collections.abc import Iterator
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
        compiled = compiled_apart(_forward, dynamic)
        self._forwards = {layer: partial(compiled, layer) for layer in layers[:-1]}

    @contextmanager
    def in_place(self) -> Iterator[None]:
        """Have the decoder call the compiled layers."""
        # a device map puts a forward of its own there
        before = {layer: vars(layer).get("forward") for layer in self._forwards}
        for layer, forward in self._forwards.items():
            layer.forward = forward
        try:
            yield
        finally:
            for layer, forward in before.items():
                del layer.forward
                if forward is not None:
                    layer.forward = forward


def _forward(layer: torch.nn.Module, *args, **kwargs):
    return type(layer).forward(layer, *args, **kwargs)
