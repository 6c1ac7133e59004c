"""Which rows hold unsafe text by design: the one list, which the report folds such rows by."""

import re
from collections.abc import Mapping

# whole words in names of tasks, groups and subsets, in small letters
_WORDS = re.compile(
    r"\b(\w*safe(ty)?|safe\w+|refus\w+|harm(s|ful|fulness|less|lessness|bench)?|do ?not ?answer|xstest|\w*toxi\w+|offensive\w*"
    r"|dangerous|jailbreak\w*|hhh|beavertails|hate\w*|crows|advbench|strong ?reject|wmdp|malicious)\b"
)
# columns that name a part of a data set
_COLUMNS = ("subset", "_subset", "section", "category", "domain", "source", "kind", "type", "config")


def is_unsafe(*names: str, doc: Mapping) -> bool:
    """Whether a row's texts are to be folded behind a warning.

    Args:
        names: of its task and its groups.
        doc: its columns.
    """
    found = [*names, *(str(doc[column]) for column in _COLUMNS if column in doc)]
    return any(_WORDS.search(re.sub(r"[\W_]+", " ", name.lower())) for name in found)
