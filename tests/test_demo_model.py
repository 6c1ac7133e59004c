"""The demo model's training code, which is not installed, still belongs to the packaged model."""

from importlib.resources import files
from pathlib import Path

import pytest
from transformers import AutoTokenizer

EXAMPLE = Path(__file__).resolve().parents[1] / "examples" / "demo_model"


@pytest.fixture
def train(monkeypatch):
    """The script as a module, with its folder first on the path, as Python runs it."""
    monkeypatch.syspath_prepend(EXAMPLE)
    import train

    return train


def test_the_pairs_give_the_packaged_tokenizer(train):
    """The texts decide the vocabulary, so these are the pairs that the packaged model was trained on."""
    pairs = train.make_pairs(train.PAIRS, train.SEED)
    packaged = AutoTokenizer.from_pretrained(files("skywork_rb_plugin") / "demo" / "model")
    assert train.train_tokenizer(train.tokenizer_texts(pairs)).get_vocab() == packaged.get_vocab()


def test_held_out_texts_are_found_in_training_texts(train):
    """None is there; one that is, in capitals and within a longer text, is reported."""
    held_out, pairs = train.load_held_out(), train.make_pairs(2000, train.SEED)
    assert train.find_leaks(pairs, held_out) == []
    leak = pairs[0]._replace(prompt=f"Well: {held_out[0].prompt.upper()} Please.")
    assert train.find_leaks([*pairs, leak], held_out) == [held_out[0].prompt.lower().rstrip(".!?")]
