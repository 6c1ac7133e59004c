"""What is compiled: layers with compile=True, FlexAttention always; on a CPU, by the compiler of C++ that torch finds."""

import inspect
import shutil

import pytest
import torch
import transformers
from conftest import make_model
from torch._dynamo.utils import counters
from trees import CPU, rows, scores

from skywork_rb_plugin import HFReward
from skywork_rb_plugin.scoring.attend import compiled_apart

pytestmark = pytest.mark.skipif(not shutil.which("g++"), reason="torch compiles for CPUs with g++")


@pytest.mark.parametrize(
    ("family", "options"),
    [
        ("qwen-3", {}),
        ("gemma-2", {}),
        ("llama-3.1", {"attn_implementation": "flex_attention"}),
    ],
)
def test_compiled_layers_score_the_same(models, family, options):
    """To 1e-5 in float32, with one graph for all layers that are alike, compiled before the first score."""
    expected = scores(HFReward(models[family], **CPU), rows())
    model = HFReward(models[family], compile=True, tokens_per_pack=512, **CPU, **options)
    counters.clear()
    assert scores(model, rows()) == pytest.approx(expected, abs=1e-5)
    assert counters["stats"]["unique_graphs"] == 0
    info = model.get_model_info()["reward"]
    assert (info["scoring"], info["attention"]) == ("tree", options.get("attn_implementation", "prefix_tree"))
    # of attention by blocks nothing is compiled, so that packs come as they are
    padded = (info["tokens_forwarded"] + info["tokens_padding"]) % 512 == 0
    assert padded if options else info["tokens_padding"] == 0
    assert not any("forward" in vars(module) for module in model.model.modules())


def test_layers_in_place_of_others_are_put_back(models):
    """A device map gives layers a forward of its own, which is there again after each pack."""
    loaded = transformers.AutoModelForSequenceClassification.from_pretrained(models["llama-3.1"])
    own = loaded.model.layers[0].forward = loaded.model.layers[0].forward
    tokenizer = transformers.AutoTokenizer.from_pretrained(models["llama-3.1"])
    model = HFReward(loaded, tokenizer=tokenizer, compile=True, **CPU)
    assert model.scorer.compiled
    scores(model, rows(2))
    assert vars(loaded.model.layers[0])["forward"] is own


def test_flex_attention_of_several_models_in_one_process(models, tmp_path):
    """Other windows, soft caps and sizes of heads: each compiled for itself, with the scores of padded batches."""
    folders = {
        models["llama-3.1"]: 1,
        models["gemma-2"]: 2,  # with a window and without
        make_model(tmp_path, "gemma-2", sliding_window=24, attn_logit_softcapping=30.0, head_dim=16): 2,
    }
    for folder, graphs in folders.items():
        expected = scores(HFReward(folder, scoring="padded", **CPU), rows())
        counters.clear()
        model = HFReward(folder, attn_implementation="flex_attention", tokens_per_pack=384, **CPU)
        assert scores(model, rows()) == pytest.approx(expected, abs=1e-5)
        assert counters["stats"]["unique_graphs"] == graphs


@pytest.mark.skipif("isolate_recompiles" not in inspect.signature(torch.compile).parameters, reason="an older torch")
def test_what_one_model_compiles_does_not_count_for_another():
    """torch stops compiling a function anew after 8 times."""
    torch._dynamo.reset()

    def twice(tensor):
        return 2 * tensor

    with torch._dynamo.config.patch(recompile_limit=1):
        for size in (3, 4, 5):
            assert compiled_apart(twice)(torch.ones(size)).tolist() == [2.0] * size
        shared = torch.compile(twice, dynamic=False, fullgraph=True, backend="eager")
        shared(torch.ones(6))
        with pytest.raises(Exception, match="fullgraph=True"):
            shared(torch.ones(7))
