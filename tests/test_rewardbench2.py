"""RewardBench 2: its two rules against computations from the formulas, and its tasks on rows of the official shape."""

import json
import math

import pytest
from conftest import SAMPLES, write_rows
from hypothesis import given, settings
from hypothesis import strategies as st
from scripted import evaluate
from test_metrics import measure, row_of

from skywork_rb_plugin.metrics.rewardbench2 import ties_score

SUBSETS = {
    "factuality": "Factuality",
    "precise_if": "Precise IF",
    "math": "Math",
    "safety": "Safety",
    "focus": "Focus",
    "ties": "Ties",
}
few_scores = st.integers(-3, 3).map(float)  # so that ties are common


@given(st.lists(few_scores, min_size=2, max_size=6))
def test_best_of_splits_a_first_place_that_is_shared(scores):
    """The rule for one correct response in front: 1/k if it is among the k that score highest, else 0."""
    top = sorted(scores)[-1]
    expected = 0 if scores[0] < top else 1 / sum(score == top for score in scores)
    assert measure(row_of(scores, [0]), "score", rule="best_of") == {"score": expected}
    # the correct response may stand anywhere
    assert measure(row_of(scores[::-1], [len(scores) - 1]), "score", rule="best_of") == {"score": expected}


pairs = st.lists(
    st.tuples(
        st.tuples(few_scores, st.lists(few_scores, min_size=1, max_size=3)),
        st.tuples(st.lists(few_scores, min_size=2, max_size=4), st.lists(few_scores, min_size=1, max_size=3)),
    ),
    min_size=1,
    max_size=6,
)


def from_the_formulas(pairs):
    """Ties as its authors describe it: five means over pairs, weighted 0.30, 0.30, 0.20, 0.20 and 0.01."""
    terms = []
    for (reference, wrong), (correct, others) in pairs:
        reference_gap = reference - max(wrong)
        tied_gap = min(correct) - max(others)
        spread = max(correct) - min(correct)
        hardest = reference_gap if reference_gap < tied_gap else tied_gap
        if spread > 0:
            x = hardest / spread - 1
            tanh = (math.exp(2 * x) - 1) / (math.exp(2 * x) + 1)
        else:
            tanh = 0 if hardest == 0 else 1 if hardest > 0 else -1
        terms.append((tied_gap > 0, reference_gap > 0, tied_gap > spread, hardest > spread, tanh))
    means = [sum(column) / len(pairs) for column in zip(*terms, strict=True)]
    return sum(weight * mean for weight, mean in zip((0.30, 0.30, 0.20, 0.20, 0.01), means, strict=True))


def rows_of(pairs):
    """The rows' values as the task makes them, tied prompts first and in reverse."""
    rows = []
    for n, ((reference, wrong), (correct, others)) in enumerate(pairs):
        rows.append(row_of([reference, *wrong], [0], id=f"ref:{n}"))
        rows.append(row_of([*correct, *others], list(range(len(correct))), id=f"tied:{n}"))
    return [measure(row, "score", rule="ties")["score"] for row in rows[::-1]]


@given(pairs)
@settings(max_examples=200)
def test_ties_are_scored_by_the_formulas(pairs):
    """In any order of rows, and as lists, which is what other ranks send."""
    assert ties_score(rows_of(pairs)) == pytest.approx(from_the_formulas(pairs), abs=1e-12)
    assert ties_score([list(row) for row in rows_of(pairs)]) == ties_score(rows_of(pairs))


def test_incomplete_pairs_do_not_count(caplog):
    """As under --limit; the log says how many, and without any pair there is no score."""
    pairs = [((2.0, [1.0]), ([3.0, 2.5], [1.0])), ((0.0, [1.0]), ([1.0, 1.0], [2.0]))]
    rows = rows_of(pairs)
    assert ties_score(rows[1:]) == pytest.approx(from_the_formulas(pairs[:1]))
    assert "Ties: 1 of 3 prompts lack their partner (ref:N or tied:N) and do not count here;" in caplog.text
    assert math.isnan(ties_score(rows[:1]))
    for wrong in ("17", "ref:", "tied:a1"):
        with pytest.raises(ValueError, match=f"found id '{wrong}', expected ref:N or tied:N"):
            measure(row_of([1.0, 0.0], [0], id=wrong), rule="ties")


def test_ids_are_numbers():
    """`ref:01` and `tied:1` are one pair, as in the official script, which compares integers."""
    pair = [row_of([2.0, 1.0], [0], id="ref:01"), row_of([3.0, 2.5, 1.0], [0, 1], id="tied:1")]
    values = [measure(row, "score", rule="ties")["score"] for row in pair]
    assert ties_score(values) == pytest.approx(from_the_formulas([((2.0, [1.0]), ([3.0, 2.5], [1.0]))]))


def official_rows():
    """Rows of the published columns: four responses a prompt, and three pairs of Ties."""
    rows = []
    for subset in list(SUBSETS.values())[:5]:
        for i in range(4):
            rows.append(
                {"id": str(len(rows)), "prompt": f"{subset} {i}?", "chosen": [f"s{i % 3}"], "rejected": ["s1", "s0", "s1 "],
                 "num_correct": 1, "num_incorrect": 3, "total_completions": 4, "subset": subset}
            )  # fmt: skip
    for n in range(3):
        for kind, chosen in (("ref", ["s5"]), ("tied", [f"s{4 + n}", "s5", "s5 "])):
            rejected = ["s3", f"s{2 + n}"]
            rows.append(
                {"id": f"{kind}:{n}", "prompt": f"Name {kind} {n}", "chosen": chosen, "rejected": rejected, "num_correct":
                 len(chosen), "num_incorrect": 2, "total_completions": len(chosen) + 2, "subset": "Ties"}
            )  # fmt: skip
    return rows


def digit(context, response):
    """The scorer: the number in the response."""
    return float(response.strip()[1:])


@pytest.fixture
def rewardbench2_data(tmp_path, monkeypatch):
    """A local copy with the official columns."""
    folder = tmp_path / "allenai" / "reward-bench-2"
    folder.mkdir(parents=True)
    write_rows(folder / "test.jsonl", official_rows())
    monkeypatch.setenv("SKYWORK_RB_DATA_ROOT", str(tmp_path))


def test_group_and_subsets(rewardbench2_data, task_manager, caplog):
    """The plain mean of six; no standard error where the host knows none."""
    results, _ = evaluate(digit, ["rewardbench2"], task_manager)
    found = {name: results["results"][f"rewardbench2_{name}"] for name in SUBSETS}
    # chosen s0, s1, s2, s0 against s1, s0, s1: never first, one of three, alone, never
    for name in list(SUBSETS)[:5]:
        assert found[name]["score,none"] == pytest.approx((0 + 1 / 3 + 1 + 0) / 4)
        assert found[name]["score_stderr,none"] > 0
    pairs = [((5.0, [3.0, 2.0 + n]), ([4.0 + n, 5.0, 5.0], [3.0, 2.0 + n])) for n in range(3)]
    assert found["ties"]["score,none"] == pytest.approx(from_the_formulas(pairs))
    assert found["ties"]["score_stderr,none"] == "N/A"
    mean = (5 * (4 / 12) + from_the_formulas(pairs)) / 6
    assert results["groups"]["rewardbench2"]["score,none"] == pytest.approx(mean)
    assert results["groups"]["rewardbench2"]["score_stderr,none"] == "N/A"
    assert "rewardbench2_math has 4 rows where the published benchmark has 183" in caplog.text
    assert results["configs"]["rewardbench2_ties"]["score"] == "ties"


def test_limit_leaves_out_incomplete_pairs(rewardbench2_data, task_manager, caplog):
    """Five rows of Ties are two pairs and one prompt alone; one row is none, and the group says so."""
    results, _ = evaluate(digit, ["rewardbench2_ties"], task_manager, limit=5)
    pairs = [((5.0, [3.0, 2.0 + n]), ([4.0 + n, 5.0, 5.0], [3.0, 2.0 + n])) for n in range(2)]
    assert results["results"]["rewardbench2_ties"]["score,none"] == pytest.approx(from_the_formulas(pairs))
    assert "1 of 5 prompts lack their partner" in caplog.text
    results, _ = evaluate(digit, ["rewardbench2"], task_manager, limit=1)
    assert results["groups"]["rewardbench2"]["score,none"] == "N/A"


@pytest.mark.skipif(SAMPLES is None, reason="SKYWORK_RB_SAMPLES is not set")
def test_real_rows(tmp_path, monkeypatch, task_manager):
    """All of Math and Safety, with a scorer that prefers the shorter response: the counts taken from the rows."""
    folder = tmp_path / "allenai" / "reward-bench-2"
    folder.mkdir(parents=True)
    text = (SAMPLES / "rewardbench2_partial.jsonl").read_text(encoding="utf-8")
    (folder / "test.jsonl").write_text(text, encoding="utf-8")
    monkeypatch.setenv("SKYWORK_RB_DATA_ROOT", str(tmp_path))
    results, _ = evaluate(
        lambda _, response: -len(response), ["rewardbench2_math", "rewardbench2_safety"], task_manager
    )
    rows = [json.loads(line) for line in text.splitlines()]
    for name, count in (("Math", 183), ("Safety", 450)):
        points = []
        for row in (row for row in rows if row["subset"] == name):
            lengths = [len(response) for response in row["chosen"] + row["rejected"]]
            points.append(1 / lengths.count(min(lengths)) if lengths[0] == min(lengths) else 0)
        assert len(points) == count
        assert results["results"][f"rewardbench2_{name.lower()}"]["score,none"] == pytest.approx(sum(points) / count)
