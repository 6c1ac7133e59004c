"""Which rows hold unsafe text by design: the one list, which the report folds such rows by."""

import re
from collections.abc import Mapping

# in names of tasks, groups and subsets, without signs and in small letters
_WORDS = ("safe", "refus", "harm", "donotanswer", "xstest", "toxic", "offensive", "dangerous", "jailbreak", "hhh", "beavertails")  # fmt: skip
# columns that name a part of a data set
_COLUMNS = ("subset", "_subset", "section", "category", "domain", "source", "kind", "type", "config")


def is_unsafe(*names: str, doc: Mapping) -> bool:
    """Whether a row's texts are to be folded behind a warning.

    Args:
        names: of its task and its groups.
        doc: its columns.
    """
    found = [*names, *(str(doc[column]) for column in _COLUMNS if column in doc)]
    return any(word in re.sub(r"[\W_]", "", name.lower()) for name in found for word in _WORDS)
