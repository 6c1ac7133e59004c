"""Heads by their interface: one read or many, in trees and in padded batches, against one conversation at a time."""

import dataclasses
import itertools
import math
import random

import pytest
import torch
import transformers
from conftest import FAMILIES

from skywork_rb_plugin import HFReward, UserError
from skywork_rb_plugin.conversations import whole_conversation
from skywork_rb_plugin.heads import plugins
from skywork_rb_plugin.heads.families.classifier import Classifier
from skywork_rb_plugin.heads.family import Family, Loaded
from skywork_rb_plugin.heads.head import Head
from skywork_rb_plugin.rendering.rendered import Rendered
from skywork_rb_plugin.scoring.attention import tree_attentions
from skywork_rb_plugin.scoring.padded import PaddedScorer
from skywork_rb_plugin.scoring.scorer import TreeScorer

CPU = torch.device("cpu")
STEP = 7  # the token that ends a step


class Tokenized:
    """Conversations that are token ids already."""

    done = frozenset()

    def __init__(self, sequences):
        self.sequences, self.texts = sequences, [" ".join(map(str, ids)) for ids in sequences]

    def encode(self, indices):
        """Token ids at these indices."""
        return [self.sequences[i] for i in indices]


def sequences(count=24, seed=0):
    """Token ids that begin alike, each with some steps; some longer than Gemma-2's window of 16."""
    pick = random.Random(seed)
    prompts = [[0, *pick.choices(range(10, 300), k=pick.randint(2, 30))] for _ in range(count // 4)]
    found = []
    for i in range(count):
        steps = [[*pick.choices(range(10, 300), k=pick.randint(1, 5)), STEP] for _ in range(pick.randint(1, 4))]
        # what follows the last step is read by no process head
        found.append(
            [*prompts[i % len(prompts)], *itertools.chain(*steps), *pick.choices(range(10, 300), k=pick.randint(0, 3))]
        )
    return found


def steps_of(ids):
    """Where steps end."""
    return [i for i, token in enumerate(ids) if token == STEP]


def linear(outputs, dtype=torch.float32):
    """A layer for hidden states of 32 numbers."""
    torch.manual_seed(3)
    return torch.nn.Linear(32, outputs, dtype=dtype)


def process_head(kind):
    """As of process reward models: two labels at each step's end, the softmax of the second; reduced over steps."""
    layer = linear(2)
    reduce = {"last": lambda p: p[-1], "min": min, "mean": lambda p: sum(p) / len(p)}[kind]
    return Head(
        f"steps, {kind}", steps_of, lambda hidden: layer(hidden).softmax(-1)[:, 1:],
        lambda values: reduce([p for [p] in values]),
    )  # fmt: skip


def gated_head():
    """Two reads: weights from the end of the prompt's first token, attributes from the last one, in float64."""
    layer = linear(6, torch.float64)

    def reward(values):
        (*_, a, b, c), (d, e, f, *_) = values
        return a * d + b * e + c * f

    return Head("gate", lambda ids: [2, len(ids) - 1], layer, reward, dtype=torch.float64)


def next_token_head():
    """At each token from the third on a number of the one that follows: where conversations part, several of one node."""
    layer = linear(300)
    return Head(
        "next", lambda ids: range(2, len(ids) - 1), lambda hidden, targets: layer(hidden).gather(1, targets[:, None]),
        lambda values: sum(value for [value] in values), targets=lambda ids: ids[3:],
    )  # fmt: skip


HEADS = {"last": lambda: process_head("last"), "min": lambda: process_head("min"), "mean": lambda: process_head("mean"), "gate": gated_head, "next": next_token_head}  # fmt: skip


def by_hand(model, head, ids):
    """One conversation through the decoder alone, without padding or mask."""
    with torch.no_grad():
        hidden = model.base_model(torch.tensor([ids]), use_cache=False).last_hidden_state[0]
        targets = [[torch.tensor([target])] for target in head.targets(ids)] if head.targets else itertools.repeat([])
        read = [
            head.values(hidden[[at]].to(head.dtype or hidden.dtype), *target).float()[0].tolist()
            for at, target in zip(head.positions(ids), targets, strict=False)
        ]
    return head.reward(read)


def scores(scorer, conversations):
    """Rewards in the conversations' order."""
    found = {
        i: score for some in scorer.run(conversations) for i, score in zip(some.conversations, some.scores, strict=True)
    }
    return [found[i] for i in range(len(conversations.texts))]


@pytest.mark.parametrize("kind", HEADS)
@pytest.mark.parametrize("family", FAMILIES)
def test_many_reads_by_tree_and_in_padded_batches(models, family, kind):
    """Each position is a node of the tree; a read shared by several conversations is computed once."""
    model = transformers.AutoModelForSequenceClassification.from_pretrained(models[family], attn_implementation="eager")
    model.eval()
    head, conversations = HEADS[kind](), Tokenized(sequences())
    expected = [by_hand(model, head, ids) for ids in conversations.sequences]
    padded = PaddedScorer(model, head, None, CPU, batch_size=5)
    assert scores(padded, conversations) == pytest.approx(expected, abs=1e-5)
    for budget in (60, 400):
        tree = TreeScorer(model, head, tree_attentions(model, None, CPU, False)[0], budget, CPU)
        assert scores(tree, conversations) == pytest.approx(expected, abs=1e-5)
    assert len(set(expected)) == len(expected)


def test_only_what_is_read_is_forwarded(models):
    """Tokens after the last read, and beginnings that conversations share, cost nothing."""
    model = transformers.AutoModelForSequenceClassification.from_pretrained(models["qwen-3"]).eval()
    conversations = Tokenized(sequences())
    tree = TreeScorer(model, process_head("min"), tree_attentions(model, None, CPU, False)[0], 10**6, CPU)
    read = [ids[: steps_of(ids)[-1] + 1] for ids in conversations.sequences]
    nodes = {tuple(ids[:n]) for ids in read for n in range(1, len(ids) + 1)}
    assert sum(some.forwarded for some in tree.run(conversations)) == len(nodes)


@pytest.mark.parametrize("family", FAMILIES)
def test_the_standard_head_is_what_the_model_itself_computes(models, family):
    """By its interface in padded batches, and by the model's own forward, which pools by itself."""
    model = transformers.AutoModelForSequenceClassification.from_pretrained(models[family], attn_implementation="eager")
    model.eval()
    pad, conversations = model.config.pad_token_id, Tokenized(sequences())
    head = Classifier().head(Loaded.of(model, pad))
    own = scores(PaddedScorer(model, head, pad, CPU, batch_size=5), conversations)
    read = dataclasses.replace(head, own_logits=False)
    assert scores(PaddedScorer(model, read, pad, CPU, batch_size=5), conversations) == pytest.approx(own, abs=1e-6)
    assert [by_hand(model, head, ids) for ids in conversations.sequences] == pytest.approx(own, abs=1e-5)


@pytest.mark.parametrize("kind", ["min", "gate"])
def test_many_reads_when_memory_runs_out_and_numbers_overflow(models, kind, monkeypatch):
    """Packs are divided and conversations scored alone; a read that is no number makes the reward none."""
    model = transformers.AutoModelForSequenceClassification.from_pretrained(models["llama-3.1"]).eval()
    head, ids = HEADS[kind](), sequences()
    ids = [*ids, *ids[:3], [0, 11, 12, STEP, 310, STEP]]
    expected = [by_hand(model, head, one) for one in ids[:-1]]
    with torch.no_grad():
        model.get_input_embeddings().weight[310] = math.inf
    tree = TreeScorer(model, head, tree_attentions(model, None, CPU, False)[0], 1000, CPU)
    forward = tree._decoder.forward

    def small_only(input_ids, **kwargs):
        if input_ids.numel() > 150:
            raise torch.cuda.OutOfMemoryError("CUDA out of memory. Tried to allocate")
        return forward(input_ids=input_ids, **kwargs)

    monkeypatch.setattr(tree._decoder, "forward", small_only)
    found = scores(tree, Tokenized(ids))
    assert found[:-1] == pytest.approx(expected, abs=1e-5)
    assert math.isnan(found[-1])
    assert math.isnan(scores(PaddedScorer(model, head, None, CPU), Tokenized(ids[-1:]))[0])


def test_two_runs_of_one_scorer_do_not_mix(models):
    """Each keeps its own positions, also where their packs alternate."""
    model = transformers.AutoModelForSequenceClassification.from_pretrained(models["qwen-3"]).eval()
    tree = TreeScorer(model, process_head("mean"), tree_attentions(model, None, CPU, False)[0], 60, CPU)
    first, second = Tokenized(sequences()), Tokenized(sequences(seed=1))
    expected = [scores(tree, first), scores(tree, second)]
    found = [{}, {}]
    for both in itertools.zip_longest(tree.run(first), tree.run(second)):
        for run, some in enumerate(both):
            found[run].update(zip(some.conversations, some.scores, strict=True) if some else ())
    for run, scored in zip(found, expected, strict=True):
        assert [run[i] for i in range(24)] == pytest.approx(scored, abs=1e-6)


def test_a_head_s_dtype_holds_under_mixed_precision(models):
    """autocast would run a float32 layer in bfloat16."""
    model = transformers.AutoModelForSequenceClassification.from_pretrained(models["qwen-3"]).eval()
    kinds = []
    layer = linear(1)
    head = Head(
        "noted",
        steps_of,
        lambda hidden: kinds.append((out := layer(hidden)).dtype) or out,
        max_value,
        (),
        torch.float32,
    )
    tree = TreeScorer(model, head, tree_attentions(model, None, CPU, False)[0], 400, CPU, torch.bfloat16)
    by_tree = scores(tree, Tokenized(sequences()))
    padded = scores(PaddedScorer(model, head, None, CPU, torch.bfloat16), Tokenized(sequences()))
    assert set(kinds) == {torch.float32}
    assert by_tree == pytest.approx(padded, abs=0.05)


def max_value(values):
    """Of all reads."""
    return max(value for [value] in values)


@pytest.mark.parametrize("positions", [[], [-1], [0, 99]])
def test_positions_that_a_conversation_lacks_are_one_line(models, positions):
    """A process model and an answer without a step, for instance."""
    model = transformers.AutoModelForSequenceClassification.from_pretrained(models["qwen-3"]).eval()
    head = Head("elsewhere", lambda ids: positions, linear(1))
    tree = TreeScorer(model, head, tree_attentions(model, None, CPU, False)[0], 400, CPU)
    for scorer in (tree, PaddedScorer(model, head, None, CPU)):
        with pytest.raises(
            UserError, match=r"found positions \[.*\] to read in a conversation of 3 tokens, .* is elsewhere"
        ):
            scores(scorer, Tokenized([[0, 5, 6]]))


class Ended(Family):
    """Reads the second token and one that it appends."""

    name, models, source = "ended", "classifiers, in this test", "this test"
    auto_class = "AutoModelForSequenceClassification"

    def answers(self, checkpoint):
        """To all that have a head called so."""
        return checkpoint.has("score.weight")

    def head(self, loaded):
        """Two reads."""
        layer = loaded.linear("score")
        return Head(self.name, lambda ids: [1, len(ids) - 1], layer, lambda v: v[0][0] + 2 * v[1][0], append=(7,))


def test_a_family_with_two_reads_and_a_token_of_its_own(models, monkeypatch, caplog):
    """Appended tokens, several reads, the fingerprint, the built-in family that would answer too, `head=`."""
    ours = plugins.registered()
    monkeypatch.setattr(plugins, "registered", lambda: (plugins.Registered(Ended(), "stranger 1.0"), *ours))
    pairs = [("Question?", "a long response"), ("Question?", "short")]
    for scoring in ("tree", "padded"):
        model = HFReward(models["llama-3.1"], device="cpu", scoring=scoring)
        assert "is read by the head ended (stranger 1.0); classifier (built in) would too: head=NAME" in caplog.text
        texts = [model.renderer.render(whole_conversation(pair)) for pair in pairs]
        sequences = model.renderer.encode(texts)
        assert all(one[-1] == 7 for one in sequences)
        expected = [by_hand(model.model, model._head, one) for one in sequences]
        assert model.score(pairs) == pytest.approx(expected, abs=1e-5)
        assert model.get_model_info()["reward"]["head"] == "ended (stranger 1.0)"
        assert model.fingerprint()["appended tokens"] == "(7,)"
    caplog.clear()
    other = HFReward(models["llama-3.1"], device="cpu", head="classifier")
    assert other.head_name() == "LlamaForSequenceClassification, one label"
    assert "would too" not in caplog.text


def test_tokens_that_a_head_appends_come_before_the_cut(models):
    """Once, at the end, also where the conversation is longer than the model's length."""
    renderer = HFReward(models["llama-3.1"], device="cpu", max_length=20).renderer
    messages = [{"role": "user", "content": "Question?"}, {"role": "assistant", "content": "a long answer, and more"}]
    text = renderer.render(messages)
    [plain] = renderer.encode([text])
    renderer.append = (5, 6)
    assert renderer.encode([text]) == [[*plain, 5, 6]]
    [ids] = Rendered(renderer, [text]).encode([0])
    assert (ids[0], ids[-3:], len(ids)) == (plain[0], (plain[-1], 5, 6), 20)
    renderer.append = tuple(plain[-1:])
    assert renderer.encode([text]) == [plain]  # it ends so already
