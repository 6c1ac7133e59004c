"""For tests of vllm-reward: a checkpoint in vLLM's engine, and in this process."""

from conftest import TEMPLATE, make_model, make_tokenizer

from skywork_rb_plugin import HFReward, VLLMReward

LENGTH = 256
PAIRS = [
    *[("Question?", text) for text in ("short", "a much longer response that goes on", "x", "Grüße, 你好 🙂")],
    *[(f"Question {i}?", f"answer {i} " * i) for i in range(1, 20)],
    ("Question?", "one that ends in pad tokens<|pad|><|pad|>"),
    ("Too long?", "the quick brown fox " * 200),
]
# heads of a size that vLLM has on a CPU
SIZE = {"hidden_size": 64, "head_dim": 32}
# no marker after a response, so that it may end in pad tokens
OPEN = TEMPLATE.replace("<|end|>", "")


def checkpoint(folder, family, **settings):
    """A classifier with one label."""
    return make_model(folder, family, tokenizer=make_tokenizer(OPEN), **SIZE, **settings)


def in_vllm(folder, **options):
    """The model in a running engine, which is not compiled: that takes longer than all scores here."""
    return VLLMReward(pretrained=folder, **{"max_length": LENGTH, "enforce_eager": True, **options})


def in_hf(folder, **options):
    """The same model in this process."""
    return HFReward(pretrained=folder, device="cpu", batch_size=4, **{"max_length": LENGTH, **options})
