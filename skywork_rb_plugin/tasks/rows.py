"""A row of a dataset -> a prompt and its responses, in the host's vocabulary (`doc_to_text`, `doc_to_choice`, …)."""

import ast
import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from skywork_rb_plugin.conversations import Message, as_messages, check_message, is_messages, split_prompt, usual_role

# a column's name, Jinja text, a value, or a function of the row
Field = str | int | list | Mapping | Callable | None


@dataclass(frozen=True)
class Choice:
    """One response with the messages that come before it."""

    messages: tuple[Message, ...]
    response: str


# responses, strings or message lists, each with the name of the field it comes from
Named = list[tuple[str, object]]


def choices_of(
    doc: Mapping, doc_to_text: Field = None, doc_to_choice: Field = None, named: Named | None = None
) -> list[Choice]:
    """The responses of a row, each with its prompt; chosen ones first where the row has `chosen` and `rejected`.

    Takes TRL's four preference formats (huggingface/trl, docs/source/dataset_formats.md): strings or message lists,
    the prompt in its own column or at the start of every response. `named`: `named_responses`, where they are known.

    Raises:
        ValueError: the row can't be read so; the message says what was found and what was expected.
    """
    named = named_responses(doc, doc_to_choice) if named is None else named
    responses = [response for _, response in named]
    prompt = resolve(doc, doc_to_text) if doc_to_text is not None else doc.get("prompt")
    if prompt is None:
        if "prompt" not in doc and all(isinstance(response, str) for response in responses):
            prompt, responses = split_prompt(responses)
        elif any(isinstance(response, str) for response in responses):
            raise ValueError("found no prompt (null), expected a string or a list of messages")
        else:
            prompt = []
    # [] is no prompt of its own: the responses are whole conversations
    messages = as_messages(prompt, "user") if prompt != [] else []
    return [_choice(messages, response, name) for (name, _), response in zip(named, responses, strict=True)]


def named_responses(doc: Mapping, doc_to_choice: Field = None) -> Named:
    """The row's responses, each with the name of the field it comes from.

    Raises:
        ValueError: a column is missing, or what should be a list is none.
    """
    if doc_to_choice is None or isinstance(doc_to_choice, list):
        fields = _fields(doc_to_choice)
        values = [_column(doc, name) if doc_to_choice is None else resolve(doc, field) for name, field in fields]
        pairs = zip(fields, values, strict=True)
        return [(name, response) for (name, _), value in pairs for response in _one_or_more(value)]
    value = resolve(doc, doc_to_choice)
    if isinstance(value, str):
        try:
            value = ast.literal_eval(value)
        except (SyntaxError, ValueError) as error:
            raise ValueError(f"found {value[:80]!r} for `doc_to_choice`, expected a list of responses") from error
    if not isinstance(value, Sequence) or isinstance(value, str):
        raise ValueError(f"found {type(value).__name__} for `doc_to_choice`, expected a list of responses")
    return [(f"response {i}", response) for i, response in enumerate(value)]


def _fields(doc_to_choice: Field) -> list[tuple[str, Field]]:
    """The fields that hold the responses, each with a name for messages."""
    if doc_to_choice is None:
        return [("chosen", "chosen"), ("rejected", "rejected")]
    named = [field if isinstance(field, str) else "a field" for field in doc_to_choice]
    return [
        (f"{name} ({i} of doc_to_choice)", field)
        for i, (name, field) in enumerate(zip(named, doc_to_choice, strict=True))
    ]


def preferred_of(
    doc: Mapping, doc_to_choice: Field = None, doc_to_target: Field = None, named: Named | None = None
) -> list[int]:
    """Indices of the preferred responses: the chosen ones, or what `doc_to_target` gives.

    As `{column: {label: index}}` it says which response each label of a column means. `named`: as for `choices_of`.

    Raises:
        ValueError: a label is unknown, an index is out of range, or there is nothing to compare: all or none are preferred.
    """
    named = [name for name, _ in (named_responses(doc, doc_to_choice) if named is None else named)]
    # an index means a field with all its responses, or one of a list of responses
    listed = doc_to_choice is None or isinstance(doc_to_choice, list)
    names = [name for name, _ in _fields(doc_to_choice)] if listed else named
    count = len(names)
    if isinstance(doc_to_target, Mapping):
        doc_to_target = _index_of_label(doc, doc_to_target)
    if doc_to_target is not None:
        number = (
            _literal(doc_to_target) if isinstance(doc_to_target, str) and doc_to_target not in doc else doc_to_target
        )
        target = resolve(doc, number)
        target = _literal(target) if isinstance(target, str) else target
        indices = list(target) if isinstance(target, Sequence) and not isinstance(target, str) else [target]
    else:
        indices = [0]
    if not all(isinstance(i, int) and not isinstance(i, bool) and 0 <= i < count for i in indices):
        raise ValueError(f"found {indices} for `doc_to_target`, expected indices from 0 to {count - 1}")
    chosen = {names[index] for index in indices}
    preferred = [i for i, name in enumerate(named) if name in chosen]
    if not 0 < len(preferred) < len(named):
        found = f"{len(preferred)} preferred and {len(named) - len(preferred)} other responses"
        raise ValueError(f"found {found}, expected at least one of each")
    return preferred


def scores_of(doc: Mapping, count: int, doc_to_scores: Field) -> list[float]:
    """The score that the data gives each of `count` responses: a column with a list, or a list of columns or Jinja.

    Raises:
        ValueError: there is not one finite number for each response.
    """
    if isinstance(doc_to_scores, list):
        values = [resolve(doc, field) for field in doc_to_scores]
    else:
        values = resolve(doc, doc_to_scores)
        values = _literal(values) if isinstance(values, str) else values
    if not isinstance(values, Sequence) or isinstance(values, str) or len(values) != count:
        raise ValueError(f"found {values!r} for `doc_to_scores`, expected {count} numbers, one for each response")
    try:
        scores = [float(value) for value in values]
    except (TypeError, ValueError) as error:
        raise ValueError(f"found {values!r} for `doc_to_scores`, expected numbers") from error
    if not all(map(math.isfinite, scores)):
        raise ValueError(f"found {values!r} for `doc_to_scores`, expected finite numbers")
    return scores


def resolve(doc: Mapping, field: Field):
    """What a YAML field says of a row: a column's value, Jinja rendered, a function's result, or the value itself.

    In a list of messages each content is a column, Jinja or plain text.

    Raises:
        ValueError: the field is text that is neither a column nor Jinja: a misspelt column would be scored as text.
    """
    if callable(field):
        return field(doc)
    if is_messages(field):
        return [{**check_message(message), "content": _text(doc, message["content"])} for message in field]
    if not isinstance(field, str):
        return field
    if field not in doc and "{{" not in field and "{%" not in field:
        raise ValueError(f"found no column {field!r}, expected one of {', '.join(doc)}, or Jinja")
    return _text(doc, field)


def _text(doc: Mapping, field: str):
    """A column's value, also for `{{column}}` and `{{column.field}}`, which Jinja would turn into text; else Jinja."""
    from skywork_rb_plugin.host import apply_template

    if field in doc:
        return doc[field]
    if alone := re.fullmatch(r"\{\{\s*(\w+(?:\.\w+)*)\s*\}\}", field):
        value: object = doc
        for name in alone[1].split("."):
            if not isinstance(value, Mapping) or name not in value:
                break
            value = value[name]
        else:
            return value
    return apply_template(field, doc)


def _choice(prompt: list[Message], response: object, name: str) -> Choice:
    """The prompt's messages and the response's, where the response may repeat the prompt."""
    try:
        tail = as_messages(response, "assistant")
    except ValueError as error:
        raise ValueError(f"{error}, in {name}") from error
    # a template gets a response's text as the assistant's, whatever its role is called
    if usual_role(tail[-1]["role"]) == "assistant":
        raise ValueError(f"found role {tail[-1]['role']!r}, did you mean 'assistant'?, in {name}")
    if prompt and tail[0]["role"] != "assistant":
        if tail[: len(prompt)] != prompt:
            raise ValueError(f"found a response that begins with a {tail[0]['role']} message other than the prompt")
        prompt = []
    messages = [*prompt, *tail]
    if messages[-1]["role"] != "assistant":
        raise ValueError(f"found a response that ends with a {messages[-1]['role']} message, expected an assistant's")
    if len(messages) == 1:
        raise ValueError(
            "found a response without a prompt, expected a `prompt` column or messages before the response"
        )
    return Choice(tuple(messages[:-1]), messages[-1]["content"])


def _one_or_more(value: object) -> list:
    """A `chosen` or `rejected` column: one response (a string or messages), or a list of them."""
    several = isinstance(value, Sequence) and not isinstance(value, str) and not is_messages(value)
    return list(value) if several else [value]


def _column(doc: Mapping, name: str):
    if name not in doc:
        raise ValueError(
            f"found no column {name!r} (columns: {', '.join(doc)}), expected `chosen` and `rejected`, or `doc_to_choice` "
            "in the YAML"
        )
    return doc[name]


def _index_of_label(doc: Mapping, by_column: Mapping) -> int:
    if len(by_column) != 1 or not all(isinstance(indices, Mapping) for indices in by_column.values()):
        raise ValueError(f"found {dict(by_column)} for `doc_to_target`, expected {{column: {{label: index}}}}")
    [(column, indices)] = by_column.items()
    label = resolve(doc, column)
    if label not in indices:
        raise ValueError(f"found {label!r} in column {column!r}, expected {' or '.join(map(repr, indices))}")
    return indices[label]


def _literal(text: str):
    try:
        return ast.literal_eval(text.strip())
    except (SyntaxError, ValueError):
        return text
