"""What is no error in a row but worth a line: a task says each once, with the rows, when it builds its requests."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from itertools import product
from typing import NamedTuple

from skywork_rb_plugin.conversations import usual_role
from skywork_rb_plugin.tasks.rows import Choice, Field


class Note(NamedTuple):
    """What was found in a row, and what was expected: parts of one sentence."""

    found: str
    expected: str


EMPTY = Note("a response is empty", "text: it is scored as it is")
EQUAL = Note("a preferred response is the same as another one", "different ones: they count as wrong")
APART = Note("the responses follow different messages", "one prompt for all: they are compared across prompts")


def notes_of(choices: Sequence[Choice], preferred: Collection[int] | None) -> Iterator[Note]:
    """The notes on a row's responses.

    Args:
        choices: the responses, each with the messages before it.
        preferred: indices of the preferred ones; None where nothing is compared.
    """
    for role in dict.fromkeys(message["role"] for choice in choices for message in choice.messages):
        if usual := usual_role(role):
            yield Note(f"a message has the role {role!r}", f"{usual!r}, unless the model's chat template knows it")
    if not all(choice.response.strip() for choice in choices):
        yield EMPTY
    if preferred is None:
        return
    others = [i for i in range(len(choices)) if i not in preferred]
    if any(choices[i] == choices[j] for i, j in product(preferred, others)):
        yield EQUAL
    if any(choice.messages != choices[0].messages for choice in choices):
        yield APART


def notes_of_reader(doc: Mapping, reader: Field) -> Iterator[Note]:
    """What the function that reads a row's responses has to say of the row: its attribute `notes`, a function too."""
    return getattr(reader, "notes", lambda doc: ())(doc)
