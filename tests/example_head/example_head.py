"""A head for Thermo-RM, a model that does not exist: warmth at the response's end less half the chill of the prompt's."""

import torch

from skywork_rb_plugin import Family, Head, hookimpl


class Thermometer(Family):
    """Two linear layers, read at two tokens."""

    name = "thermometer"
    models = "Thermo-RM: a decoder with the tensors warmth.weight and chill.weight"
    source = "nowhere: an example"

    def answers(self, checkpoint):
        """Any decoder that has both layers."""
        return checkpoint.has("warmth.weight", "chill.weight")

    def head(self, loaded):
        """Both layers at both tokens, of which the reward takes two numbers."""
        warmth, chill = loaded.linear("warmth"), loaded.linear("chill")
        turn = loaded.token("<|assistant|>")

        def positions(ids):
            start = max(i for i, token in enumerate(ids) if token == turn)
            return [start, loaded.last(ids)]

        def reward(values):
            (_, cold), (warm, _) = values
            return warm - cold / 2

        return Head(self.name, positions, lambda hidden: torch.cat([warmth(hidden), chill(hidden)], dim=-1), reward)


@hookimpl
def reward_families():
    """What this package brings."""
    return [Thermometer]
