"""Models that answer A or B: whose rows of the vocabulary make their logits, against the models' own."""

import json
from pathlib import Path

import pytest
import torch
import transformers
from rewards import user
from tiny_pairs import pair_preference, steamshp

from skywork_rb_plugin import UserError
from skywork_rb_plugin.heads.checkpoint import Checkpoint
from skywork_rb_plugin.heads.naming import own_name
from skywork_rb_plugin.heads.plugins import find
from skywork_rb_plugin.models.hf_pairwise import Comparison, HFPairwise

EAGER = {"dtype": torch.float32, "attn_implementation": "eager"}


def load(folder, **options):
    """The model as the command line makes it."""
    return HFPairwise(pretrained=str(folder), device="cpu", dtype="float32", **options)


def log_odds(model, own):
    """Of one pair, by logits (vocabulary,) that `own` makes of token ids; and both orders' margins."""
    pair = Comparison(tuple(user("What is two and two?").messages), "Four.", "It is five, or six.")
    texts = [model.renderer.render(order.messages) for order in (pair, pair.swapped)]
    a, b = (model.tokenizer.encode(letter, add_special_tokens=False)[0] for letter in "AB")
    with torch.no_grad():
        logits = [own(torch.tensor([list(ids)])) for ids in model.renderer.encode(texts)]
    margins = [one[a] - one[b] for one in logits]
    mean = (margins[0].double().sigmoid() + (-margins[1]).double().sigmoid()) / 2
    assert abs(margins[0]) > 0.01
    return float(mean.logit()), model.compare(pair.prompt, pair.first, pair.second)


def test_tied_and_soft_capped(tmp_path):
    """Gemma-2's rows are its embeddings', and its logits are capped."""
    folder = pair_preference(tmp_path / "pair-preference", "gemma2", tied=True, final_logit_softcapping=0.5)
    own = transformers.AutoModelForCausalLM.from_pretrained(folder, **EAGER).eval()
    expected, found = log_odds(load(folder), lambda ids: own(ids, use_cache=False).logits[0, -1])
    assert found == pytest.approx(expected, abs=1e-5)


def test_a_tied_t5_scales_its_states(tmp_path):
    """By the root of their size, before the embeddings make logits of them."""
    folder = steamshp(tmp_path / "SteamSHP", tied=True)
    own = transformers.T5ForConditionalGeneration.from_pretrained(folder, **EAGER).eval()
    expected, found = log_odds(
        load(folder), lambda ids: own(input_ids=ids, decoder_input_ids=torch.tensor([[0]])).logits[0, 0]
    )
    assert found == pytest.approx(expected, abs=1e-5)


def test_logits_that_are_more_than_products_are_refused(tmp_path):
    """Granite divides them; other families have other names for it."""
    config = {"model_type": "granite", "architectures": ["GraniteForCausalLM"], "logits_scaling": 8.0}
    folder = pair_preference(tmp_path / "pair-preference")
    file = Path(folder, "config.json")
    file.write_text(json.dumps({**json.loads(file.read_text("utf-8")), **config}), "utf-8")
    with pytest.raises(UserError, match=r"found logits \[.*\] of .* \(GraniteForCausalLM\) where rows of its lm_head"):
        load(folder)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("RLHFlow/pair-preference-model-LLaMA3-8B", "pair-preference-model-LLaMA3-8B"),
        ("/data/pair-preference-runs/Llama-3-8B/", "Llama-3-8B"),
        ("/hub/models--org--steamshp-x/snapshots/0123abc", "steamshp-x"),
        ("/hub/models--org--other/snapshots/steamshp", "other"),
        ("steamshp", "steamshp"),
    ],
)
def test_a_name_is_the_last_part(name, expected):
    """Folders above a model do not name it."""
    assert own_name(Checkpoint(name, transformers.LlamaConfig())) == expected


@pytest.mark.parametrize(
    ("name", "architecture", "family"),
    [
        ("pair-preference/mine", "LlamaForSequenceClassification", "classifier"),
        ("steamshp/my-t5", "T5ForConditionalGeneration", None),
        ("hub/models--nvidia--Llama-3.3-Nemotron-70B-Reward/snapshots/0123abc", "LlamaForCausalLM", "nemotron"),
        ("nvidia/Llama-3.3-Nemotron-70B-Reward", "LlamaForSequenceClassification", "classifier"),
    ],
)
def test_a_name_answers_for_the_model_alone(name, architecture, family):
    """And not against its architecture."""
    checkpoint = Checkpoint(name, transformers.LlamaConfig(architectures=[architecture], num_labels=1))
    if family is None:
        with pytest.raises(UserError, match="found no head that reads"):
            find(checkpoint)
    else:
        assert find(checkpoint).family.name == family
