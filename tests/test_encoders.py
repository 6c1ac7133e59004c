"""Encoders given prompt and response as a pair of texts, against transformers' own classes and the tokenizer's own pairs."""

import pytest
import torch
import transformers
from conftest import TEMPLATE
from families import ROWS, conversations, run
from rewards import load
from tiny_pairs import DEBERTA, SIZES, pair_tokenizer

from skywork_rb_plugin import UserError

# class name -> what its config has beside SIZES, and how its tokenizer joins two texts; the type of each special token
# and text where the tokenizer gives any
BERT_PAIR = "[CLS]:0 $A:0 [SEP]:0 $B:1 [SEP]:1"
MODELS = {
    "DebertaV2": (DEBERTA, BERT_PAIR, True),
    "Electra": ({"embedding_size": 32, "max_position_embeddings": 128}, BERT_PAIR, True),
    "Roberta": ({"max_position_embeddings": 128}, "[CLS]:0 $A:0 [SEP]:0 [SEP]:0 $B:0 [SEP]:0", False),
    "ModernBert": (
        {"max_position_embeddings": 128, "cls_token_id": 1, "sep_token_id": 2, "reference_compile": False},
        "[CLS]:0 $A:0 [SEP]:0 $B:0 [SEP]:0",
        False,
    ),
}


def encoder(folder, kind="DebertaV2", labels=1, **tokenizer):
    """A tiny checkpoint of a real encoder as a sequence classifier."""
    settings, pair, types = MODELS[kind]
    torch.manual_seed(0)
    config = getattr(transformers, f"{kind}Config")(**SIZES, **settings, num_labels=labels)
    model = getattr(transformers, f"{kind}ForSequenceClassification")(config).eval()
    if kind == "DebertaV2":  # its own are a hundred times smaller than the others'
        for parameter in model.parameters():
            if parameter.ndim > 1:
                torch.nn.init.normal_(parameter, std=0.2)
    model.save_pretrained(folder)
    pair_tokenizer(pair, types, **tokenizer).save_pretrained(folder)
    return str(folder)


def by_card(folder, pairs, **options):
    """Logits as the card of OpenAssistant's models computes them: one pair of texts at a time."""
    model = transformers.AutoModelForSequenceClassification.from_pretrained(folder, dtype=torch.float32).eval()
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    with torch.no_grad():
        return [model(**tokenizer(*pair, return_tensors="pt", **options)).logits[0].tolist() for pair in pairs]


def pairs_of(rows=ROWS):
    """(prompt, response), chosen before rejected."""
    return [(row["prompt"], row[which]) for row in rows for which in ("chosen", "rejected")]


SHORT = [{key: text[:40] for key, text in row.items()} for row in ROWS]


@pytest.mark.parametrize("kind", MODELS)
def test_prompt_and_response_are_a_text_pair(task_manager, tmp_path, kind):
    """With the tokenizer's own special tokens and types, in batches of different lengths."""
    folder = encoder(tmp_path / "model", kind)
    rewards, info = run(folder, task_manager, tmp_path, SHORT)
    assert rewards == pytest.approx([logits[0] for logits in by_card(folder, pairs_of(SHORT))], abs=1e-5)
    assert len({round(reward, 4) for reward in rewards}) > 4
    assert (info["head"], info["scoring"]) == (f"{kind}ForSequenceClassification, one label", "padded")


def test_types_tell_the_texts_apart(tmp_path):
    """A response's tokens have another type than the prompt's; the reward goes by that."""
    folder = encoder(tmp_path, "Electra")
    pair = pairs_of(SHORT)[0]
    [reward] = load(folder).score([pair])
    assert abs(reward - by_card(folder, [pair], return_token_type_ids=False)[0][0]) > 1e-3


def test_turns_of_the_prompt_have_nothing_between_them(tmp_path):
    """As in the chat template `raw` of reward-bench's runs; text that looks like the join of two others is told apart."""
    folder = encoder(tmp_path, "Electra")
    turns = [("user", "One?"), ("assistant", "Two."), ("user", "Three?"), ("assistant", 'Four", "five')]
    messages = [{"role": role, "content": text} for role, text in turns]
    found = load(folder).score([messages, ('One?Two.Three?", "Four', "five")])
    expected = by_card(folder, [("One?Two.Three?", 'Four", "five'), ('One?Two.Three?", "Four', "five")])
    assert found == pytest.approx([logits[0] for logits in expected], abs=1e-5)


@pytest.mark.parametrize("given", ["by the user", "by the tokenizer"])
def test_a_chat_template_goes_before_the_pair(tmp_path, given):
    """The user's or the tokenizer's: one text, as ever."""
    folder = encoder(tmp_path, "Electra", **({"chat_template": TEMPLATE} if given == "by the tokenizer" else {}))
    model = load(folder, **({"chat_template": TEMPLATE} if given == "by the user" else {}))
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    messages = conversations(SHORT)[0]
    text = tokenizer.apply_chat_template(messages, tokenize=False, chat_template=TEMPLATE)
    assert model.score([messages]) == pytest.approx(by_card(folder, [(text,)])[0], abs=1e-5)


@pytest.mark.parametrize(("kind", "length"), [("Electra", 128), ("Roberta", 127), ("DebertaV2", 64)])
def test_long_pairs_are_cut_behind_the_first_token(tmp_path, caplog, kind, length):
    """To what the model has room for: RoBERTa's table of positions begins behind the padding id."""
    caplog.set_level("WARNING", logger="lm_eval")
    folder = encoder(tmp_path, kind)
    model = load(folder)
    found = model.score([("word " * 100, "the answer")])
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    whole = tokenizer("word " * 100, "the answer")
    short = {name: torch.tensor([[*ids[:1], *ids[1 - length :]]]) for name, ids in whole.items()}
    with torch.no_grad():
        expected = model.model(**short).logits[0].tolist()
    assert found == pytest.approx(expected, abs=1e-5)
    assert f"1 of 1 conversations do not fit into {length} tokens and were cut from the left." in caplog.text


def test_more_than_the_model_has_room_for_is_refused(tmp_path):
    """Where there is a table of positions; DeBERTa goes by distances and reads any length."""
    with pytest.raises(UserError, match=r"found max_length=128, expected at most 127, the length that .* states"):
        load(encoder(tmp_path / "table", "Roberta"), max_length=128)
    folder, pair = encoder(tmp_path / "distances"), ("word " * 60, "the answer")
    assert load(folder, max_length=500).score([pair]) == pytest.approx(by_card(folder, [pair])[0], abs=1e-5)


def test_one_of_several_labels(tmp_path):
    """As of causal classifiers."""
    folder, pairs = encoder(tmp_path, "Electra", labels=3), pairs_of(SHORT)
    expected = [logits[2] for logits in by_card(folder, pairs)]
    assert load(folder, label=2).score(pairs) == pytest.approx(expected, abs=1e-5)
    with pytest.raises(UserError, match=r"has 3 labels .*, expected a reward model with one, or label=… in"):
        load(folder)


def test_half_a_head_is_named(tmp_path):
    """By the tensors that are missing."""
    folder = encoder(tmp_path, "Electra")
    config = transformers.ElectraConfig.from_pretrained(folder)
    transformers.ElectraModel.from_pretrained(folder).save_pretrained(folder)
    config.save_pretrained(folder)
    with pytest.raises(
        UserError, match=r"lacks classifier\.dense\.bias, classifier\.dense\.weight.* head encoder reads"
    ):
        load(folder)


def test_trees_are_refused(tmp_path):
    """In one line."""
    with pytest.raises(
        UserError, match=r"can't score Elec.* by prefix trees .* expected scoring=auto or scoring=padded"
    ):
        load(encoder(tmp_path, "Electra"), scoring="tree")
