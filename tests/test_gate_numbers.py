"""Heads with a gate, against the numbers that the published classes gave: tests/reference/make_heads.py."""

import json
from pathlib import Path

import pytest
import tokenizers
import torch
import transformers
from tiny_checkpoints import rebuild

from skywork_rb_plugin.heads import plugins
from skywork_rb_plugin.heads.checkpoint import Checkpoint
from skywork_rb_plugin.heads.family import Loaded
from skywork_rb_plugin.heads.loader import FamilyLoader
from skywork_rb_plugin.scoring.padded import PaddedScorer

REFERENCE = json.loads((Path(__file__).parent / "reference" / "heads.json").read_text())


def llama_3_ids():
    """A tokenizer that knows no more than the end of a Llama-3 prompt, by Llama-3's own ids."""
    known = {"<|start_header_id|>": 128006, "<|end_header_id|>": 128007, "<|eot_id|>": 128009}
    known.update({"assistant": 78191, "\n\n": 271})
    inner = tokenizers.Tokenizer(tokenizers.models.WordLevel({"?": 0, **known}, unk_token="?"))
    inner.add_special_tokens(list(known))
    return transformers.PreTrainedTokenizerFast(tokenizer_object=inner)


@pytest.mark.parametrize("name", ["armorm", "qrm-3", "qrm-3.1", "ldl"])
def test_numbers_of_the_reference(tmp_path, name):
    """One family of ours answers, and it gives these rewards."""
    case = REFERENCE["cases"][name]
    folder = rebuild(tmp_path / "model", case)
    config = transformers.AutoConfig.from_pretrained(folder)
    made = Checkpoint("tiny", config, folder)
    [found] = [one.family for one in plugins.registered() if one.family.answers(made)]
    loader = FamilyLoader(found, made)
    model = loader.from_pretrained(folder, dtype=torch.float32, attn_implementation="eager").eval()
    loader.check()
    head = found.head(Loaded(made, model, llama_3_ids(), 2))
    rewards = PaddedScorer(model, head, 2, torch.device("cpu")).score(REFERENCE["sequences"][case["sequences"]])
    assert rewards == pytest.approx(case["rewards"], abs=1e-5)
    assert made.unread(sorted(loader.unread)) == []
