"""InternLM2's reward models: a Llama under other names, whose reward is read at a token that ends the conversation."""

import numpy as np
import pytest
import torch
import transformers
from families import ROWS, by_tree_and_padded, states, token_ids
from rewards import load
from tiny_checkpoints import decoder, numbers, write

from skywork_rb_plugin import UserError

NAMES = [
    ("embed_tokens", "tok_embeddings"), ("self_attn.o_proj", "attention.wo"), ("input_layernorm", "attention_norm"),
    ("post_attention_layernorm", "ffn_norm"), ("mlp.gate_proj", "feed_forward.w1"), ("mlp.up_proj", "feed_forward.w3"),
    ("mlp.down_proj", "feed_forward.w2"),
]  # fmt: skip


def packed(tensors, layer, part):
    """Each key head's two query heads, itself and its value head, in rows of 8."""
    name = f"model.layers.{layer}.self_attn.{{}}_proj.{part}"
    q, k, v = (tensors.pop(name.format(letter)) for letter in "qkv")
    return np.concatenate([some for i in range(2) for some in (q[16 * i :][:16], k[8 * i :][:8], v[8 * i :][:8])])


def pair(tmp_path, bias=False, reward_token=319, **changed):
    """A Llama, the InternLM2 that is the same, with its reward head, and the head's weight."""
    config, tensors = decoder("llama", attention_bias=bias)
    if bias:
        shapes = {"q": 32, "k": 16, "v": 16, "o": 32}
        names = {
            f"model.layers.{i}.self_attn.{part}_proj.bias": (size,) for i in (0, 1) for part, size in shapes.items()
        }
        tensors |= {name: numbers(name, shape) for name, shape in names.items()}
    llama = write(tmp_path / "llama", config, tensors)
    for i in (0, 1):
        for part in ("weight", "bias") if bias else ("weight",):
            tensors[f"model.layers.{i}.attention.wqkv.{part}"] = packed(tensors, i, part)
    for here, there in NAMES:
        tensors = {name.replace(here, there): array for name, array in tensors.items()}
    tensors["v_head.weight"] = numbers("v_head.weight", (1, 32))
    remote = {"AutoConfig": "configuration_internlm2.InternLM2Config", "AutoModel": "modeling_internlm2.InternLM2Model"}
    config |= {
        "model_type": "internlm2", "architectures": ["InternLM2ForRewardModel"], "bias": bias, "auto_map": remote,
        "reward_token_id": reward_token, "attn_implementation": "eager", "rope_scaling": {"type": "dynamic", "factor": 2.0},
    }  # fmt: skip
    del config["head_dim"], config["attention_bias"]
    folder = write(tmp_path / "internlm2", config, {**tensors, **changed})
    return llama, folder, torch.from_numpy(tensors["v_head.weight"])


@pytest.mark.parametrize("bias", [False, True])
def test_it_is_a_llama_read_at_the_reward_token(task_manager, tmp_path, caplog, bias):
    """Its config and weights are translated, without the code that its config names."""
    llama, folder, weight = pair(tmp_path, bias)
    ids = [[*one, 319] for one in token_ids(llama)]
    expected = [float(weight[0] @ hidden[-1]) for hidden in states(llama, ids)]
    by_tree, padded, info = by_tree_and_padded(folder, task_manager, tmp_path, ROWS)
    assert by_tree == pytest.approx(expected, abs=1e-5)
    assert padded == pytest.approx(expected, abs=1e-5)
    assert info["head"] == "internlm2 (InternLM2ForRewardModel)"
    assert "would too" not in caplog.text
    assert "does not read" not in caplog.text


def test_a_reward_token_that_is_there_is_not_put_twice(tmp_path):
    """As where a template ends with it."""
    _, folder, _ = pair(tmp_path, reward_token=1)
    model = load(folder, dtype="float32")
    text = transformers.AutoTokenizer.from_pretrained(folder).apply_chat_template(
        [{"role": "user", "content": "A?"}], tokenize=False
    )
    assert model.renderer.encode([text])[0].count(1) == 1


@pytest.mark.parametrize(
    ("name", "array", "line"),
    [
        (
            "model.layers.1.attention.wqkv.weight",
            np.zeros((60, 32), "f"),
            r"layers\.1\.attention\.wqkv\.weight of the shape \(60",
        ),
        ("v_head.weight", np.zeros((1, 30), "f"), r"has v_head\.weight of the shape \(1, 30\), expected \(1, 32\)"),
        (
            "model.norm.weight",
            np.zeros(30, "f"),
            r"has norm\.weight of (the shape \(30,\)|another shape), expected \(32,\)",
        ),
    ],
)
def test_tensors_of_other_shapes_are_one_line(tmp_path, name, array, line):
    """With the name and the shapes."""
    _, folder, _ = pair(tmp_path, **{name: array})
    with pytest.raises(UserError, match=line) as caught:
        load(folder)
    assert "\n" not in str(caught.value)


def test_an_adapter_is_refused(tmp_path):
    """It would change nothing, in silence."""
    _, folder, _ = pair(tmp_path)
    (tmp_path / "adapter").mkdir()
    with pytest.raises(UserError, match=r"found peft=.*adapter with .*, expected it merged into the checkpoint"):
        load(folder, peft=str(tmp_path / "adapter"))
