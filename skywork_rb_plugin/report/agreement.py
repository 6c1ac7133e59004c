"""How far two models give the same verdicts."""

from collections.abc import Iterable
from dataclasses import dataclass

from skywork_rb_plugin.report.rows import Row


@dataclass(frozen=True)
class Agreement:
    """Verdicts of two models, right or wrong, on the same rows.

    Attributes:
        rows: how many.
        equal: share of equal verdicts.
        kappa: Cohen's kappa (Cohen 1960, Educational and Psychological Measurement 20): 0 for what two models of these
            accuracies agree in by chance, 1 for always; None where chance alone makes them always agree.
    """

    rows: int
    equal: float
    kappa: float | None


def agreement(pairs: Iterable[tuple[Row, Row]]) -> Agreement | None:
    """How far two models agree on joined rows; None where no row has a verdict of both."""
    verdicts = [(a.right, b.right) for a, b in pairs if a.right is not None and b.right is not None]
    if not verdicts:
        return None
    rows = len(verdicts)
    equal = sum(a == b for a, b in verdicts) / rows
    first, second = (sum(column) / rows for column in zip(*verdicts, strict=True))
    by_chance = first * second + (1 - first) * (1 - second)
    return Agreement(rows, equal, None if by_chance == 1 else (equal - by_chance) / (1 - by_chance))
