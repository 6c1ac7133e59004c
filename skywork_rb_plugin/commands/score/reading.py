"""What a row of the data means: its conversations, and the line that goes out with their rewards."""

import json
import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain

from skywork_rb_plugin.commands.columns import Columns
from skywork_rb_plugin.commands.score.source import Row
from skywork_rb_plugin.commands.texts import RESPONSES, may_be_context, prompt_keys, responses_of
from skywork_rb_plugin.conversations import with_system
from skywork_rb_plugin.errors import UserError
from skywork_rb_plugin.models.documents import Document
from skywork_rb_plugin.tasks.rows import Choice, choices_of, named_responses

_EXPECTED = (
    "expected `prompt` and `response`, a list in `responses`, `chosen` and `rejected`, or `messages` that end in an answer: say "
    "with --prompt and --responses which columns they are"
)
# columns that may hold a conversation with its answer
_CONVERSATIONS = ("messages", "conversation", "conversations")


@dataclass(frozen=True)
class Fields:
    """How conversations are read of a row, in the words of a task's YAML.

    Attributes:
        keys: `doc_to_text` and `doc_to_choice`, where they are needed.
        columns: those that hold responses.
        several: whether a row has a list of rewards.
        known: columns that the first rows have something in; None: what else may belong to the prompt is left out.
    """

    keys: Mapping
    columns: Sequence[str]
    several: bool
    known: Collection[str] | None


def fields_of(rows: Sequence[Mapping], origin: str, prompt: str | None, responses: Sequence[str]) -> Fields:
    """What the columns mean, by the first rows; what the user named goes before any guess.

    Raises:
        UserError: they can't be told apart.
    """
    names = list(dict.fromkeys(name for row in rows for name in row))
    columns = Columns([{name: row.get(name) for name in names} for row in rows], names, origin, _EXPECTED)
    columns.known([prompt] if prompt else [], "--prompt")
    found = columns.known(responses, "--responses")
    if not found and {"chosen", "rejected"} <= set(columns.top):
        found = ["chosen", "rejected"]
        if others := [name for name in _answers(columns) if name not in found]:
            raise columns.error(f"found chosen and rejected beside other responses ({', '.join(others)})")
    found = found or _conversation(columns) or responses_of(columns)
    keys = prompt_keys(
        columns, prompt, found, "say with --responses which columns are conversations with their answers"
    )
    if "prompt" in columns.kinds and not columns.whole(found):
        keys = {"doc_to_text": "prompt", **keys}  # a row without it has none, whatever its responses have in common
    listed = len(found) == 1 and columns.kinds[found[0]] not in ("text", "messages")
    choice = columns.field(found[0]) if listed else [columns.field(name) for name in found]
    known = None if prompt or columns.whole(found) else {name for row in rows for name, value in row.items() if value}
    return Fields({"doc_to_choice": choice, **keys}, found, listed or len(found) > 1, known)


def _conversation(columns: Columns) -> list[str]:
    """The column of a conversation that ends with an assistant's turn, where no other has responses."""
    if _answers(columns):
        return []
    return [
        name
        for name in _CONVERSATIONS
        if columns.kinds.get(name) == "messages" and columns.example(name)[-1].get("role") == "assistant"
    ][:1]


def _answers(columns: Columns) -> list[str]:
    """Columns whose names are of responses."""
    return columns.about({*RESPONSES, *(f"{word}s" for word in RESPONSES)}, "text", "text list", "messages")


class Reader:
    """Reads rows, and writes them with their rewards.

    Args:
        fields: what the columns mean.
        origin: the data in words, for errors.
        system: the system prompt that every conversation begins with, if any.
        name: of the new column.
        best: whether a row keeps its best response alone.
        compares: whether the model compares responses.

    Raises:
        UserError: rows have one response each, and there is nothing to compare.
    """

    def __init__(
        self, fields: Fields, origin: str, system: str | None, name: str | None, best: bool, compares: bool
    ) -> None:
        self.name = name or ("rewards" if fields.several and not best else "reward")
        self._fields, self._origin, self._system = fields, origin, system
        self._best, self._compares = best, compares
        for asked, flag in ((best, "--best"), (compares, "--model hf-pairwise")):
            if asked and not fields.several:
                raise UserError(
                    f"found one response a row in {origin} (column {fields.columns[0]}), expected several for {flag}: a "
                    "column of lists, or several columns, named by --responses"
                )
        if best and self.name == "response":
            raise UserError("--reward: found response, expected another name: --best puts the best response there")

    @property
    def described(self) -> str:
        """What is read and written, for the record."""
        prompt = self._fields.keys.get("doc_to_text", "prompt")
        return f"prompt {prompt}, responses {', '.join(self._fields.columns)}, to {self.name}"

    def read(self, row: Row) -> Document:
        """The row's conversations.

        Raises:
            UserError: it has none, or a column of the name that the rewards should have.
        """
        if self.name in row.doc:
            raise self._error(
                row, f"found a column {self.name!r}, expected --reward NAME with another name for the rewards"
            )
        if self._best and "response" in row.doc and "response" not in self._fields.columns:
            raise self._error(row, "found a column 'response', which --best would write; expected another name for it")
        self._check_context(row)
        try:
            choices = choices_of(row.doc, **self._fields.keys)
            conversations = [self._conversation(choice) for choice in choices]
            for message in chain.from_iterable(conversations):
                message["content"].encode()
        except UnicodeEncodeError as error:
            found = "found half a character (a lone surrogate), expected Unicode text"
            raise self._error(row, found) from error
        except (ValueError, TypeError, AttributeError) as error:
            # of a task's YAML; here there is none
            found = str(error).replace("`doc_to_choice`", f"column {', '.join(self._fields.columns)}")
            raise self._error(row, " ".join(found.split())) from error
        if len(choices) > 1 and not self._fields.several:
            column = self._fields.columns[0]
            raise self._error(row, f"found {len(choices)} responses in {column}, expected one, as in the first rows")
        if not choices:
            raise self._error(row, f"found no responses in {', '.join(self._fields.columns)}, expected some")
        if self._compares and len(choices) == 1:
            raise self._error(row, "found one response, expected several: --model hf-pairwise compares them")
        if self._compares and any(one[:-1] != conversations[0][:-1] for one in conversations):
            raise self._error(
                row, "found responses to different prompts, expected one: --model hf-pairwise compares them"
            )
        return Document(f"{self._origin}, row {row.number}", conversations)

    def _check_context(self, row: Row) -> None:
        known, prompt = self._fields.known, self._fields.keys.get("doc_to_text", "prompt")
        for name, value in row.doc.items():
            if known is not None and value and name not in known and may_be_context(name):
                raise self._error(
                    row,
                    f"found something in column {name!r}, which the first rows have nothing in, expected to know "
                    f"whether it belongs to the prompt: say --prompt {prompt} to leave it out",
                )

    def _conversation(self, choice: Choice) -> list[Mapping]:
        return [*with_system(choice.messages, self._system), {"role": "assistant", "content": choice.response}]

    def _error(self, row: Row, found: str) -> UserError:
        return UserError(f"{self._origin}, row {row.number}: {found}")

    def work(self, document: Document) -> int:
        """How many conversations go through the model, equal ones included."""
        count = len(document.conversations)
        return count * (count - 1) if self._compares else count

    def line(self, text: str, rewards: Sequence[float]) -> bytes:
        """The row as it came, with its rewards, on a line of JSON."""
        if self._best:
            text = self._with_best(text, rewards.index(max(rewards)))
            rewards = [max(rewards)]
        value = list(rewards) if self._fields.several and not self._best else rewards[0]
        added = f"{json.dumps(self.name, ensure_ascii=False)}: {json.dumps(value)}"
        line = f"{text[:-1].rstrip()}, {added}}}\n"
        try:
            return line.encode()
        except UnicodeEncodeError:  # half a character, in a column that is not read
            return (json.dumps(json.loads(line)) + "\n").encode()

    def _with_best(self, text: str, best: int) -> str:
        """The row with one response in place of all."""
        doc = json.loads(text)
        _, response = named_responses(doc, self._fields.keys["doc_to_choice"])[best]
        first, *others = self._fields.columns
        kept = {"response" if key == first else key: value for key, value in doc.items() if key not in others}
        return json.dumps({**kept, "response": response}, ensure_ascii=False)


def characters_of(document: Document, work: int) -> int:
    """About how much text goes through the model for a document."""
    sizes = [sum(len(message["content"]) for message in messages) for messages in document.conversations]
    return math.ceil(sum(sizes) * work / len(sizes))
