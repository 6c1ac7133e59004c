"""vllm-reward: the heads that vLLM computes, beside hf-reward's; `make test-vllm` runs it."""

import pytest
import transformers
from beside_hf import in_hf, in_vllm
from conftest import make_tokenizer
from tiny_checkpoints import decoder, numbers, write

from skywork_rb_plugin import UserError

pytest.importorskip("vllm")


def layers(outputs):
    """Shapes of a head of two layers."""
    return {
        "score.0.weight": (64, 64),
        "score.0.bias": (64,),
        "score.2.weight": (outputs, 64),
        "score.2.bias": (outputs,),
    }


VALUE_HEAD = {"normalize_reward": True, "mean": 0.4, "std": 1.7}
# head -> architecture, labels, shapes of the head's tensors, options, whether all tokens' numbers are asked for
HEADS = {
    "classifier": ("Qwen2ForSequenceClassification", 3, {"score.weight": (3, 64)}, {"label": 1}, False),
    # with a bias, which vLLM adds; its config does not say how many labels
    "openrlhf": ("RewardModel", None, {"score.weight": (1, 64), "score.bias": (1,)}, {}, False),
    "mlp": ("Qwen2ForRewardModel", 1, layers(1), {}, True),
    "qwen-prm": ("Qwen2ForProcessRewardModel", 2, layers(2), {"steps": "min"}, True),
    "token-classifier": (
        "Qwen2ForTokenClassification", 2, {"score.weight": (2, 64), "score.bias": (2,)}, {"steps": "mean"}, True,
    ),
}  # fmt: skip


@pytest.mark.parametrize("head", HEADS)
def test_heads_that_vllm_computes(head, tmp_path):
    """One label of several, value heads, two layers, and the steps of process models are read as in hf-reward."""
    architecture, labels, shapes, options, by_token = HEADS[head]
    config, tensors = decoder(
        "qwen2", architectures=[architecture], hidden_size=64, num_attention_heads=2, num_key_value_heads=1, head_dim=32,
        **VALUE_HEAD if labels is None else {"num_labels": labels},
    )  # fmt: skip
    tensors |= {name: numbers(name, shape) for name, shape in shapes.items()}
    tokenizer = make_tokenizer(add_bos=False)
    tokenizer.add_tokens(["<extra_0>", "<|im_start|>", "<|im_end|>"], special_tokens=True)
    folder = write(tmp_path / "model", config, tensors, tokenizer)
    pairs = [("How many?", text) for text in ("One.\n\nThen two.\n\nThree", "Two", "One.\n\nThen two.\n\nFour")]
    hf, model = in_hf(folder, **options), in_vllm(folder, **options)
    assert hf.family.family.name == head
    expected = hf.score(pairs)
    assert model.score(pairs) == pytest.approx(expected, abs=1e-4)
    assert len(set(expected)) == 3
    assert model.head_name() == hf.head_name()
    assert model.scorer.settings()["prefix_caching"] is not by_token
    model.scorer.engine.close()


def test_heads_that_vllm_does_not_compute(tmp_path):
    """One line that names the backend which reads them."""
    config, tensors = decoder("qwen2", lm_head=True, architectures=["Qwen2ForPrmModel"])
    tensors |= {"v_head.summary.weight": numbers("w", (1, 32)), "v_head.summary.bias": numbers("b", (1,))}
    folder = write(tmp_path / "model", config, tensors)
    with pytest.raises(
        UserError, match=r"read by the head skywork-o1-prm, expected one .*; --model hf-reward reads it"
    ):
        in_vllm(folder)
    loaded = transformers.AutoModel.from_pretrained(folder)
    with pytest.raises(UserError, match="found a loaded model, expected a hub name or a folder"):
        in_vllm(loaded)
