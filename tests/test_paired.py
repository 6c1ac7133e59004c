"""Paired tests, against statsmodels, scipy, published numbers and simulation."""

import itertools

import numpy as np
import pytest
from scipy import stats
from statsmodels.stats.contingency_tables import mcnemar
from statsmodels.stats.multitest import multipletests
from statsmodels.stats.weightstats import DescrStatsW

from skywork_rb_plugin.report import paired

SEED = (0, 1)
TABLES = [
    (40, 12, 25, 3),
    (0, 0, 30, 0),
    (0, 30, 0, 0),
    (0, 0, 0, 1),
    (5, 3, 0, 0),
    (300, 80, 61, 15),
    (0, 1, 1, 0),
    (2, 0, 30, 1),
]


def weighted(tasks, shares, seed=0):
    """The test of weighted means of tasks' differences."""
    draws = {i: paired.draws_of_mean(rows, (seed, i)) for i, rows in enumerate(tasks)}
    difference = sum(share * np.mean(rows) for share, rows in zip(shares, tasks, strict=True))
    return paired.bootstrap(difference, draws, dict(enumerate(shares)))


@pytest.mark.parametrize(("both", "first", "second", "neither"), TABLES)
def test_verdicts(both, first, second, neither):
    """p as of statsmodels' exact McNemar; the interval is Wald's of the table with half a row more in each cell."""
    test = paired.verdicts(first, second, both + first + second + neither)
    assert test.p == pytest.approx(mcnemar([[both, first], [second, neither]], exact=True).pvalue)
    cells = DescrStatsW([0, -1, 1, 0], weights=np.array([both, first, second, neither]) + 0.5, ddof=0)
    low, high = stats.norm.interval(0.95, cells.mean, cells.std / np.sqrt(cells.sum_weights))
    assert (test.low, test.high) == pytest.approx((max(low, -1), min(high, 1)))


def test_published_example():
    """Approval of a prime minister, 1600 asked twice (Agresti, Categorical Data Analysis, section 10.1): -0.06 to -0.02."""
    test = paired.verdicts(150, 86, 794 + 150 + 86 + 570)
    assert (round(test.difference, 2), round(test.low, 2), round(test.high, 2)) == (-0.04, -0.06, -0.02)
    assert test.p < 0.0001


def test_holm():
    """As statsmodels adjusts, with ties and ones."""
    for p in ([0.01, 0.04, 0.03, 0.005], [0.02, 0.02, 1.0], [0.3], []):
        expected = multipletests(p, method="holm")[1] if p else []
        assert paired.holm(p) == pytest.approx(list(expected))


def test_interval_is_the_bootstraps():
    """Of one task and of several with weights, as scipy draws them, stretched for the size of the tasks."""
    generator = np.random.default_rng(1)
    tasks = [generator.normal(0.3, 1, 40), generator.choice([-1.0, 0, 0, 1], 60), generator.exponential(1, 50)]
    shares = (0.2, 0.5, 0.3)
    test = weighted(tasks, shares)
    theirs = stats.bootstrap(
        tasks, lambda a, b, c, axis: 0.2 * a.mean(axis) + 0.5 * b.mean(axis) + 0.3 * c.mean(axis),
        n_resamples=10_000, method="percentile", vectorized=True, random_state=generator,
    )  # fmt: skip
    stretched = (test.high - test.low) / (theirs.confidence_interval.high - theirs.confidence_interval.low)
    assert stretched == pytest.approx(np.sqrt(50 / 49), abs=0.03)
    assert test.low == pytest.approx(theirs.confidence_interval.low, abs=0.02)
    one = paired.draws_of_mean(tasks[0], SEED)
    assert one.around.std() == pytest.approx(stats.sem(tasks[0]), rel=0.03)


def test_p_is_the_randomization_tests():
    """Of weighted tasks, as scipy's permutation test of the same rows; and of rows that weigh the same as McNemar's."""
    generator = np.random.default_rng(2)
    tasks, shares = [generator.normal(0.35, 1, 12), generator.choice([-1.0, 0, 1, 1], 20)], (0.6, 0.4)
    weights = np.concatenate([np.full(len(rows), share / len(rows)) for rows, share in zip(tasks, shares, strict=True)])
    theirs = stats.permutation_test(
        (weights * np.concatenate(tasks),), np.sum, permutation_type="samples", n_resamples=20_000
    )
    assert weighted(tasks, shares).p == pytest.approx(theirs.pvalue, abs=0.015)
    rows = [1.0] * 14 + [-1.0] * 5 + [0.0] * 30
    assert weighted([rows], [1]).p == pytest.approx(paired.verdicts(5, 14, 49).p, abs=0.015)


def test_few_rows_prove_nothing():
    """One row of each of two tasks, or three alike, are no evidence; the interval does not say otherwise."""
    for tasks in ([[1.0], [1.0]], [[1.0, 1.0, 1.0]], [[0.5], [0.25], [0.125]]):
        assert weighted(tasks, [1 / len(tasks)] * len(tasks)).p >= 0.2
    test = weighted([[1.0], [1.0]], [0.7, 0.3])
    assert test.low <= 0 < test.high


def test_beyond_all_draws():
    """A p-value that no draw reaches is bounded from above, so that it survives an adjustment for thousands of tests."""
    for rows in (30, 60, 200):
        test = weighted([[1.0] * rows], [1])
        assert 2 * 0.5**rows <= test.p <= 1e-6
    assert paired.holm([weighted([[0.5] * 40, [0.3] * 40], [0.5, 0.5]).p] + [1.0] * 5000)[0] < 0.001


def test_rounding_makes_no_evidence():
    """Weighted sums that are equal but for rounding are as far from zero as each other."""
    rows = [0.1, 0.2, -0.3]
    assert weighted([rows, rows], [1 / 3, 2 / 3]).p == pytest.approx(1.0)
    assert weighted([[0.1] * 3, [0.7]], [0.5, 0.5]).p == pytest.approx(1 / 8, abs=0.02)


def test_scores_that_are_no_means():
    """A median's test by randomization equals the one over all 2^n exchanges; rows of a unit change places together."""
    first, second = [1.0, 4, 2, 8, 3, 5, 7], [2.0, 6, 5, 9, 3, 4, 11]
    draws = paired.draws_of(np.median, first, second, SEED)
    difference = float(np.median(second) - np.median(first))
    swaps = list(itertools.product((False, True), repeat=7))
    all_of_them = [np.median(np.where(s, first, second)) - np.median(np.where(s, second, first)) for s in swaps]
    exact = np.mean(np.abs(all_of_them) >= difference)
    assert paired.bootstrap(difference, {0: draws}, {0: 1.0}).p == pytest.approx(exact, abs=0.05)
    together = paired.draws_of(sum, first, second, SEED, units=[0] * 7)
    assert set(together.swapped) == {sum(second) - sum(first), sum(first) - sum(second)}


def coverage(simulate, times=400):
    """How often an interval covers the truth."""
    return np.mean([low <= truth <= high for low, high, truth in (simulate(i) for i in range(times))])


def test_coverage(monkeypatch):
    """Of 95 % intervals some 95 % cover the truth: of few verdicts, and of many tasks of few rows."""
    generator = np.random.default_rng(3)

    def of_verdicts(_):
        first, second, _same = generator.multinomial(25, (0.1, 0.3, 0.6))
        test = paired.verdicts(first, second, 25)
        return test.low, test.high, 0.2

    def of_tasks(i):
        shares = generator.dirichlet(np.full(23, 5))
        test = weighted([generator.choice([-1.0, 0, 1], 5, p=(0.1, 0.6, 0.3)) for _ in shares], shares, i)
        return test.low, test.high, 0.2

    assert 0.92 <= coverage(of_verdicts) <= 0.99
    monkeypatch.setattr(paired, "DRAWS", 500)
    assert 0.91 <= coverage(of_tasks, 200) <= 0.99


def test_only_means_are_bounded():
    """Beyond all draws a score that is no mean has the smallest p-value that draws can give; a mean's bound is exact."""
    first, second = [0.0] * 14, [1.0] * 14
    draws = paired.draws_of(lambda values: float(np.exp(np.mean(values) * 30)), first, second, SEED)
    difference = float(np.exp(30) - 1)
    draws = paired.Draws(draws.around[abs(draws.swapped) < difference], draws.swapped[abs(draws.swapped) < difference])
    alone = paired.bootstrap(difference, {0: draws}, {0: 1.0}).p
    assert alone == pytest.approx(1 / (1 + len(draws.swapped)))
    mixed = {0: draws, 1: paired.draws_of_mean([1.0] * 60, SEED)}
    assert paired.bootstrap(2 * difference, mixed, {0: 1.0, 1: 1.0}).p == pytest.approx(alone)
    rows, shares = [[0.5] * 40, [2.0] * 50], (0.25, 0.75)
    deviation = np.sqrt(0.25**2 * 0.25 / 40 + 0.75**2 * 4 / 50)
    z = (0.25 * 0.5 + 0.75 * 2) / deviation
    assert weighted(rows, shares).p == pytest.approx(
        2 / (4 * stats.norm.sf(np.sqrt(2))) * stats.norm.sf(z), rel=1e-9, abs=0
    )


def test_draws_without_a_score():
    """Where an exchange of rows leaves none there is no test."""
    draws = paired.draws_of(lambda values: float("nan") if sum(values) == 3 else sum(values), [0] * 5, [1] * 5, SEED)
    assert np.isnan(draws.swapped).any()
    assert paired.bootstrap(5.0, {0: draws}, {0: 1.0}) is None


def test_intervals_lean_as_the_rows_do(monkeypatch):
    """One much better row of many leaves the interval long on its side; draws that are made in parts are all there."""
    test = weighted([[1.0] + [0.0] * 19], [1])
    assert test.high - test.difference > 1.5 * (test.difference - test.low)
    monkeypatch.setattr(paired, "_AT_ONCE", 3_000)
    draws = paired.draws_of_mean([1.0, 0.0, 2.0], SEED)
    assert len(draws.around) == len(draws.swapped) == paired.DRAWS
