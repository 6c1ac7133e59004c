"""The tiny checkpoints are what transformers expects, and are the same everywhere."""

import hashlib
import json
from pathlib import Path

import numpy as np
import pytest
import torch
import transformers
from conftest import make_tokenizer
from tiny_checkpoints import FAMILIES, arrays, decoder, numbers, rebuild, write

REFERENCE = json.loads((Path(__file__).parent / "reference" / "heads.json").read_text())


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("lm_head", [False, True])
def test_transformers_finds_every_tensor_and_no_other(tmp_path, family, lm_head):
    """The names and shapes are those of the family's own classes, with and without lm_head."""
    loader = transformers.AutoModelForCausalLM if lm_head else transformers.AutoModel
    folder = write(tmp_path, *decoder(family, prefix="model." if lm_head else "", lm_head=lm_head))
    model, info = loader.from_pretrained(folder, output_loading_info=True)
    assert not any(info.values()), info
    assert model.config.architectures == [type(model).__name__]
    assert len(transformers.AutoTokenizer.from_pretrained(folder)) <= model.config.vocab_size


def test_numbers_are_the_same_everywhere():
    """A name and a seed decide the bits: the reference numbers stand on these."""
    assert hashlib.sha256(numbers("score.weight", (1, 32)).tobytes()).hexdigest()[:16] == "89dadc9cfe6ebea3"
    assert not np.array_equal(numbers("score.weight", (1, 32)), numbers("score.weight", (1, 32), seed=1))
    assert numbers("embed_tokens.weight", (320, 32), scale=0.5).std() == pytest.approx(0.5, rel=0.02)


def test_a_prefix_moves_tensors_and_keeps_their_numbers():
    """The same backbone can lie under any name; norms are near what leaves a state as it is."""
    here, there = decoder("llama")[1], decoder("llama", prefix="transformer.")[1]
    assert all(np.array_equal(array, there["transformer." + name[6:]]) for name, array in here.items())
    assert here["model.norm.weight"].mean() == pytest.approx(1, abs=0.1)
    assert decoder("gemma2")[1]["model.norm.weight"].mean() == pytest.approx(0, abs=0.1)


def test_what_else_a_folder_holds(tmp_path):
    """Overridden config keys, a tokenizer with more tokens, and files of heads beside the model."""
    import safetensors.numpy

    head = {"v_head.summary.weight": numbers("v_head.summary.weight", (1, 16))}
    config, tensors = decoder("qwen2", hidden_size=16, head_dim=4, vb="x")
    extra = {"value_head.safetensors": head, "value_head.bin": head, "notes.txt": "text"}
    tokenizer = make_tokenizer()
    tokenizer.add_tokens(["<extra_0>"], special_tokens=True)
    folder = write(tmp_path / "a" / "b", config, tensors, tokenizer, extra)
    assert transformers.AutoConfig.from_pretrained(folder).vb == "x"
    assert tensors["model.layers.1.self_attn.k_proj.bias"].shape == (8,)
    assert len(transformers.AutoTokenizer.from_pretrained(folder).encode("<extra_0>", add_special_tokens=False)) == 1
    loaded = safetensors.numpy.load_file(f"{folder}/value_head.safetensors"), torch.load(f"{folder}/value_head.bin")
    assert all(np.array_equal(np.asarray(found[name]), head[name]) for found in loaded for name in head)


@pytest.mark.parametrize("name", ["grm-linear", "openrlhf", "beaver-reward", "starling", "ultrarm"])
def test_rebuilt_checkpoints_are_those_that_the_reference_scored(tmp_path, name):
    """One layer at the last token, on the backbone of the transformers that is installed, gives its rewards."""
    case = REFERENCE["cases"][name]
    backbone = transformers.AutoModel.from_pretrained(
        rebuild(tmp_path, case), attn_implementation="eager", key_mapping={"^transformer\\.": "model."}
    )
    head = {part: torch.from_numpy(array) for part, array in arrays(case["head"]).items() if "norm" not in part}
    weight, *bias = head.values()
    for ids, reward in zip(REFERENCE["sequences"][case["sequences"]], case["rewards"], strict=True):
        with torch.no_grad():
            last = backbone(torch.tensor([ids])).last_hidden_state[0, -1]
        assert float(weight @ last + sum(bias)) == pytest.approx(reward, abs=1e-5)
