"""Conversations that share beginnings, and models to score them with, for tests of prefix trees."""

import random

import pytest
import torch
import transformers
from conftest import make_tokenizer
from lm_eval.api.instance import Instance

from skywork_rb_plugin import Conversation

CPU = {"device": "cpu", "batch_size": 4}


WORDS = ["the", "quick", "brown", "fox", "answers", "a", "question", "about", "code", "and", "returns", "early"]


def rows(count=12, seed=0):
    """Prompts with several responses that begin alike, as in the code subsets; some far longer than Gemma's window."""
    pick = random.Random(seed)
    found = []
    for _ in range(count):
        prompt = " ".join(pick.choices(WORDS, k=pick.randint(3, 30)))
        beginning = " ".join(pick.choices(WORDS, k=pick.randint(1, 20)))
        found.append(
            (prompt, [f"{beginning} {' '.join(pick.choices(WORDS, k=pick.randint(1, 12)))}" for _ in range(2)])
        )
    return found


def requests(pairs):
    """Requests as a task makes them."""
    return [
        Instance("loglikelihood", {}, (Conversation([{"role": "user", "content": prompt}]), response), j, ("t", i, 1))
        for i, (prompt, responses) in enumerate(pairs)
        for j, response in enumerate(responses)
    ]


def scores(model, pairs):
    """Rewards in the order of the requests."""
    return [score for score, _ in model.loglikelihood(requests(pairs), disable_tqdm=True)]


def family_of(name, folder, **settings):
    """A tiny random classifier of a further family, saved; for models that take one mask, or windows in some layers."""
    shape = {
        "vocab_size": 320, "hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4,
        "num_key_value_heads": 2, "head_dim": 8, "max_position_embeddings": 512, "initializer_range": 0.2, "num_labels": 1,
        "pad_token_id": make_tokenizer().pad_token_id, "bos_token_id": 0, "eos_token_id": 1, **settings,
    }  # fmt: skip
    if not hasattr(transformers, f"{name}ForSequenceClassification"):
        pytest.skip(f"this transformers has no classifier of the family {name}")
    torch.manual_seed(0)
    config = getattr(transformers, f"{name}Config")(**shape)
    getattr(transformers, f"{name}ForSequenceClassification")(config).save_pretrained(folder)
    make_tokenizer().save_pretrained(folder)
    return str(folder)
