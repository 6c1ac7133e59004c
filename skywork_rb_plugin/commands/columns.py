"""The columns of a dataset by what they hold and what their names say."""

import re
from collections.abc import Collection, Iterable, Mapping, Sequence

from skywork_rb_plugin.conversations import is_messages
from skywork_rb_plugin.errors import UserError

# words in a name that say it is about a text, or that it is no plain label
_ABOUT = {
    "id", "ids", "model", "length", "len", "tokens", "count", "source", "type", "hash", "name", "category", "lang",
    "language", "topic", "strength", "degree", "score", "tie", "tag", "tags", "subset", "dataset", "split", "origin",
}  # fmt: skip
_SERIES = (tuple("abcdefgh"), tuple("12345678"), tuple("01234567"), ("chosen", "rejected"))


class Columns:
    """The columns of a dataset by what they hold; fields of a structure are columns called `column.field`.

    Args:
        rows: the rows; the first that has something in a column tells its kind, all of them the labels.
        names: the columns' names.
        origin: the dataset in words, for messages.
        expected: what to do about columns that can't be told apart, for messages.
    """

    def __init__(self, rows: Sequence[Mapping], names: Sequence[str], origin: str, expected: str) -> None:
        self.rows, self.top, self.origin, self._expected = rows, list(names), origin, expected
        self._examples = {name: rows[0][name] for name in names} | _first_values(rows, names)
        self.kinds = {}
        for name, value in self._examples.items():
            fields = [f"{name}.{field}" for field in value] if isinstance(value, Mapping) else [name]
            self.kinds |= {field: _kind(self.example(field)) for field in fields}

    def example(self, name: str) -> object:
        """The first value of a column, or of a field of a structure, that is not empty."""
        return self.value(self._examples, name)

    def value(self, row: Mapping, name: str) -> object:
        """What a row has in a column, or in a field of a structure."""
        if name in self.top:
            return row[name]
        column, _, field = name.partition(".")
        return (row[column] or {}).get(field)

    def field(self, name: str) -> str:
        """How a YAML names a column, or a field of a structure."""
        return name if name in self.top else f"{{{{{name}}}}}"

    def whole(self, responses: Sequence[str]) -> bool:
        """Whether the responses are whole conversations, which hold the prompt."""
        values = [self.example(name) for name in responses]
        return all(is_messages(value) and value[0].get("role") != "assistant" for value in values)

    def texts_beside(self, responses: Sequence[str]) -> list[str]:
        """Columns of text, messages or structures that may hold a prompt."""
        kinds = ("text", "messages", "structure list", "text list")
        return [
            name
            for name, kind in self.kinds.items()
            if kind in kinds and name not in responses and not words_in(name) & _ABOUT
        ]

    def error(self, found: str) -> UserError:
        """One line with all columns."""
        listed = ", ".join(f"{name} ({kind})" for name, kind in self.kinds.items())
        return UserError(f"{found} in the columns {listed} of {self.origin}, {self._expected}")

    def known(self, names: Sequence[str], flag: str) -> list[str]:
        """The columns that the user named.

        Raises:
            UserError: one of them does not exist.
        """
        for name in names:
            if name not in self.kinds:
                listed = ", ".join(self.kinds)
                raise UserError(f"{flag}: found no column {name!r} in {self.origin}, expected one of {listed}")
        return list(names)

    def about(self, words: Collection[str], *kinds: str) -> list[str]:
        """Columns of these kinds with one of the words in their name, and none that is about something else."""
        return [name for name, kind in self.kinds.items() if kind in kinds and is_about(name, words)]

    def series(self, words: Collection[str], *kinds: str) -> list[list[str]]:
        """The columns of these kinds and words that differ in their ending alone: `_a` and `_b`, 1 to 3, …; all of them."""
        found = {}
        for name in self.about(words, *kinds):
            stem, ending = ending_of(name)
            for endings in _SERIES:
                if ending in endings[:1] or (ending in endings and stem in found):
                    found.setdefault(stem, []).append(name)
                    break
        return [names for names in found.values() if len(names) > 1]


def _first_values(rows: Iterable[Mapping], names: Sequence[str]) -> dict[str, object]:
    """The first value of each column that is not empty."""
    found, missing = {}, list(names)
    for row in rows:
        found |= {name: row[name] for name in missing if row[name] not in (None, "", [], {})}
        missing = [name for name in missing if name not in found]
        if not missing:
            break
    return found


def words_in(name: str) -> set[str]:
    """The words of a column's name, in lower case."""
    return set(re.findall(r"[a-z]+", re.sub(r"([a-z])([A-Z])", r"\1_\2", name).lower()))


def is_about(name: str, words: Collection[str]) -> bool:
    """Whether a column's name has one of the words, and none that is about something else."""
    return bool(words_in(name) & words) and not words_in(name) & (_ABOUT - words)


def ending_of(name: str) -> tuple[str, str]:
    """A name without its last letter or number, and that: `response_a` and `output1` end in a and 1."""
    match = re.fullmatch(r"(.*?)_?((?<=_)[A-Za-z]|\d|chosen|rejected)", name)
    return (match[1], match[2].lower()) if match else (name, "")


def _kind(value: object) -> str:
    if isinstance(value, str):
        return "text"
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return "number"
    if is_messages(value):
        return "messages" if {"role", "content"} <= set(value[0]) else "structure list"
    if isinstance(value, Sequence) and len(value):
        inner = {_kind(item) for item in value}
        return f"{inner.pop()} list" if len(inner) == 1 else "other"
    return "other"
