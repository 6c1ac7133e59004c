"""`overlap`: words and shares of n-grams, against values counted by hand and a plain-Python definition."""

import re

from hypothesis import given, settings
from hypothesis import strategies as st
from test_overlap import LONG, MESSAGES

from skywork_rb_plugin.commands.overlap.ngrams import find_overlap, words_of


def compare(prompts, training, n=3, threshold=0.5):
    """Overlaps of texts, each a prompt of one turn."""
    rows = ((("train", i), [words_of(text)]) for i, text in enumerate(training))
    return find_overlap([[words_of(text)] for text in prompts], rows, n, threshold)


def test_words():
    """Case, width and composition do not matter; scripts without spaces give one word per character."""
    assert words_of("Don't STOP, ﬁrst Straße — ＡＢ１!") == ["don", "t", "stop", "first", "strasse", "ab1"]
    assert words_of("cafe\u0301") == words_of("CAFÉ")
    assert words_of("GPT写一首诗,短い") == ["gpt", "写", "一", "首", "诗", "短", "い"]
    assert words_of("한국의 수도는?") == ["한국의", "수도는"]
    assert words_of("हिन्दी में लिखो। שָׁלוֹם") == ["हिन्दी", "में", "लिखो", "שָׁלוֹם"]
    assert words_of("?! :)") == ["?!", ":)"]
    assert words_of("") == []


def test_known_shares():
    """Counted by hand: of six 3-grams, four are in the first training row and two in the second."""
    [found] = compare(["a b c d e f g h"], ["x a b c d e f y", "e f g h", "nothing of it"])
    assert (found.share, found.place, found.ngram) == (4 / 6, ("train", 0), ("a", "b", "c"))
    assert found.places == [("train", 0)]
    assert not found.identical
    [found] = compare(["a b c d e f g h"], ["e f g h", "A, b c (d) e f g h!"], threshold=1 / 3)
    assert (found.share, found.places, found.identical) == (1, [("train", 0), ("train", 1)], True)


def test_prompts_shorter_than_an_ngram():
    """They are found where a training prompt or one of its turns has the same words, and nowhere else."""
    texts = ["Why so?", "why so", "Why so, then, my dear friend?", "so why"]
    assert [found.share for found in compare(texts[:1], texts[1:])] == [1]
    assert compare(texts[:1], texts[2:])[0].share == 0
    training = [(("train", 0), [words_of(message["content"]) for message in MESSAGES])]
    [whole, turn, part] = find_overlap(
        [[["answer", "briefly"]], [LONG.lower().split()], [["answer"]]], training, 8, 0.5
    )
    assert (whole.share, turn.share, part.share) == (1, 1, 0)
    assert not whole.identical
    assert [found.share for found in compare(["", "?!"], ["", "?!"])] == [0, 1]


def test_scripts_without_spaces():
    """A Chinese prompt within a longer one, where `\\w+` alone would see two different words."""
    [found] = compare(["写一首关于春天的诗"], ["请你写一首关于春天的诗吧"], n=8)
    assert (found.share, found.identical) == (1, False)


def naive(prompts, training, n, threshold):
    """The definition, quadratic: for every prompt and every training row the fraction of n-grams in both."""

    def ngrams(text):
        words = re.findall("[a-z]+", text)
        return (
            {tuple(words[i : i + n]) for i in range(len(words) - n + 1)} if len(words) >= n else {tuple(words)} - {()}
        )

    shares = [[len(ngrams(p) & ngrams(t)) / len(ngrams(p)) if ngrams(p) else 0 for t in training] for p in prompts]
    return [
        (
            max(row, default=0),
            row.index(max(row)) if any(row) else None,
            [i for i, share in enumerate(row) if share >= threshold],
            any(p.split() == t.split() and bool(p.split()) for t in training),
        )
        for p, row in zip(prompts, shares, strict=True)
    ]


texts = st.lists(st.lists(st.sampled_from("abc"), max_size=9).map(" ".join), max_size=6)


@settings(max_examples=300, deadline=None)
@given(texts, texts, st.integers(1, 5), st.sampled_from([0.01, 1 / 3, 0.5, 1]))
def test_index_equals_the_quadratic_definition(prompts, training, n, threshold):
    """Share, first best row, rows at the threshold and identity are those of the definition."""
    found = [
        (each.share, each.place[1] if each.place else None, [row for _, row in each.places], each.identical)
        for each in compare(prompts, training, n, threshold)
    ]
    assert found == naive(prompts, training, n, threshold)
