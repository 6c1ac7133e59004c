"""What an engine is sent: nothing whose score is known."""

import torch
from conftest import make_tokenizer

from skywork_rb_plugin.heads.head import Head
from skywork_rb_plugin.rendering.rendered import Rendered
from skywork_rb_plugin.rendering.renderer import Renderer
from skywork_rb_plugin.scoring.engine import EngineScorer, Pooled


class Sums:
    """An engine that gives the sum of token ids."""

    attention = "none"

    def run(self, prompts):
        """One result for each."""
        for number, ids in prompts:
            yield [Pooled(number, torch.tensor([[float(sum(ids))]]), 0)]

    def settings(self):
        """None."""
        return {}


def test_what_is_done_is_not_sent():
    """A run that goes on computes what is missing alone."""
    renderer = Renderer(make_tokenizer(), None, {}, 100, "m")
    texts = [f"<|user|>question {i}<|end|>" for i in range(8)]
    engine = EngineScorer(Sums(), Head("sum", lambda ids: [len(ids) - 1], lambda values: values), by_token=False)
    rendered = Rendered(renderer, texts, {2, 5})
    scores = {i: score for one in engine.run(rendered) for i, score in zip(one.conversations, one.scores, strict=True)}
    assert scores == {i: float(sum(ids)) for i, ids in enumerate(renderer.encode(texts)) if i not in (2, 5)}
    assert list(engine.run(Rendered(renderer, texts, set(range(8))))) == []
