"""Packing conversations into prefix trees, against definitions that use no tree."""

import time

import numpy as np
import pytest
from conftest import ASSETS, FAMILIES, NUMBERS, needs_assets
from hypothesis import given, settings
from hypothesis import strategies as st

from skywork_rb_plugin.heads.families.classifier import Classifier
from skywork_rb_plugin.heads.family import Loaded
from skywork_rb_plugin.rendering.rendered import Rendered
from skywork_rb_plugin.rendering.renderer import Renderer
from skywork_rb_plugin.scoring.attention import TreeAttention
from skywork_rb_plugin.scoring.prefix_tree import pack_conversations
from skywork_rb_plugin.scoring.scorer import TreeScorer

# few letters and repeated beginnings, so that prefixes are shared
conversations = st.lists(st.lists(st.integers(0, 2), min_size=1, max_size=12).map(tuple), min_size=1, max_size=25)


def prefixes(sequences):
    """All distinct beginnings: what a tree of the sequences holds, by definition."""
    return {ids[:n] for ids in sequences for n in range(1, len(ids) + 1)}


def visible(pack, node):
    """The nodes that a node sees, by the packs' rule."""
    return [k for k in range(len(pack)) if k <= node < pack.subtree_ends[k]]


@given(conversations, st.integers(1, 40), st.booleans())
@settings(max_examples=200, deadline=None)
def test_every_token_sees_what_it_would_see_alone(sequences, budget, strict):
    """From any last token the visible tokens are the conversation itself, at positions 0, 1, 2, …"""
    found = []
    for pack in pack_conversations(dict(enumerate(sequences)), budget, strict):
        stored = set()
        for node in range(len(pack)):
            path = visible(pack, node)
            assert [pack.depths[k] for k in path] == list(range(len(path)))
            stored.add(tuple(pack.tokens[k] for k in path))
        assert stored == prefixes(pack.sequences)
        assert len(stored) == len(pack)  # nothing is stored twice
        for i, (key, ids) in enumerate(zip(pack.conversations, pack.sequences, strict=True)):
            path = pack.nodes(i, np.arange(len(ids))).tolist()
            assert path == list(visible(pack, path[-1]))
            assert tuple(pack.tokens[k] for k in path) == ids == sequences[key]
            found.append(key)
    assert sorted(found) == list(range(len(sequences)))


@given(conversations, st.integers(1, 60))
@settings(max_examples=200, deadline=None)
def test_budget_is_kept_and_no_tree_cut_needlessly(sequences, budget):
    """Only a single conversation may exceed the budget; what fits into one pack is one pack."""
    packs = pack_conversations(dict(enumerate(sequences)), budget, strict=True)
    assert all(len(pack) <= budget or pack.is_single for pack in packs)
    assert [len(pack) for pack in packs] == sorted((len(pack) for pack in packs), reverse=True)
    if len(prefixes(sequences)) <= budget:
        assert len(packs) == 1
    # two packs that fit together are never left apart
    for i, one in enumerate(packs):
        for other in packs[i + 1 :]:
            assert (
                len(prefixes([*one.sequences, *other.sequences])) > budget or len(one) > budget or len(other) > budget
            )


def test_trees_are_cut_where_it_costs_least():
    """Two prompts with two responses each, room for one prompt: the cut is between the prompts."""
    prompts = [(0, *range(10, 20)), (0, *range(20, 30))]
    sequences = {2 * i + j: (*prompt, 90 + j, 95) for i, prompt in enumerate(prompts) for j in range(2)}
    packs = pack_conversations(sequences, 16)
    assert sorted(sorted(pack.conversations) for pack in packs) == [[0, 1], [2, 3]]
    assert sum(map(len, packs)) == 30


@given(conversations, st.integers(1, 40))
@settings(max_examples=100, deadline=None)
def test_what_shares_more_than_the_budget_may_stay_together(sequences, budget):
    """Up to twice what is shared; a long prompt is then computed once for all its responses."""
    for pack in pack_conversations(dict(enumerate(sequences)), budget):
        shared = next(
            n for n in range(len(pack) + 1) if len({ids[: n + 1] for ids in pack.sequences}) > 1 or n == len(pack)
        )
        assert len(pack) <= max(budget, 2 * shared) or pack.is_single
    prompt = tuple(range(3000))
    [pack] = pack_conversations({i: (*prompt, 4000 + i, 5000) for i in range(4)}, 2048)
    assert len(pack) == 3008


def test_equal_conversations_are_stored_once():
    """Whatever asks for them, each gets its answer from the same node."""
    [pack] = pack_conversations({7: [1, 2, 3], 9: [1, 2, 3], 4: [1, 2]}, 10)
    assert (pack.tokens.tolist(), pack.depths.tolist()) == ([1, 2, 3], [0, 1, 2])
    assert {key: pack.nodes(i, len(pack.sequences[i]) - 1) for i, key in enumerate(pack.conversations)} == {
        7: 2,
        9: 2,
        4: 1,
    }


def test_empty_sequences_are_refused_and_none_is_fine():
    """There is no token to read a score from."""
    assert pack_conversations({}, 10) == []
    with pytest.raises(ValueError, match="sequence 1 is empty"):
        pack_conversations({0: [1], 1: []}, 10)


def test_packing_is_about_linear():
    """Ten times the conversations take about ten times as long, also when all of them share long beginnings."""

    def seconds(count):
        sequences = {i: (*range(300), i % 7, *range(i, i + 50)) for i in range(count)}
        start = time.process_time()
        assert sum(len(pack) for pack in pack_conversations(sequences, 2048)) > 50 * count
        return time.process_time() - start

    seconds(1000)
    assert seconds(20000) < 60 * max(seconds(2000), 0.02)


@needs_assets
@pytest.mark.parametrize("family", FAMILIES)
def test_forwarded_tokens_of_rewardbench(family):
    """Close to the distinct tokens of all 5970 conversations, at the budgets of both kinds of devices."""
    import datasets
    import transformers

    rows = datasets.load_dataset(
        "parquet", data_files=str(ASSETS / "mirror" / "allenai" / "reward-bench" / "filtered.parquet"), split="train"
    )
    folder = ASSETS / "models" / f"tiny-{family}"
    renderer = Renderer(transformers.AutoTokenizer.from_pretrained(folder), None, {}, 8192, family)
    texts = renderer.render_all(
        [{"role": "user", "content": row["prompt"]}, {"role": "assistant", "content": row[column]}]
        for row in rows
        for column in ("chosen", "rejected")
    )
    rendered = Rendered(renderer, list(dict.fromkeys(texts)))
    unique = NUMBERS["unique_tokens"][family]
    sequences = dict(enumerate(rendered.encode(range(len(rendered.texts)))))
    assert sum(map(len, pack_conversations(sequences, 10**9))) == unique
    for budget, factor in ((2048, 1.02), (4096, 1.01), (8192, 1.005)):
        assert sum(map(len, pack_conversations(sequences, budget))) <= factor * unique
    # as scored: piece by piece while tokenizing, padded to one shape
    model = transformers.AutoModelForSequenceClassification.from_pretrained(folder)
    attention = TreeAttention("sdpa", fixed_shapes=True)
    scorer = TreeScorer(model, Classifier().head(Loaded.of(model)), attention, 4096, model.device)
    packs = [pack for packs in scorer._packs(rendered, {}) for pack in packs]
    assert sum(map(len, packs)) <= 1.015 * unique
    assert sum(map(scorer._size, packs)) <= 1.02 * sum(map(len, packs))
    assert sorted(i for pack in packs for i in pack.conversations) == list(range(len(rendered.texts)))
