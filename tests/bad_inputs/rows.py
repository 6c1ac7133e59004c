"""Rows of data: every wrong type in every column, odd roles, odd texts. Written as JSONL and read by `datasets`."""

import json

from conftest import preference_task
from scripted import ROWS

from bad_inputs.case import Area, Place, line, scored
from bad_inputs.tasks import evaluated

_STRING = "expected a string or a list of messages"
# what stands in a column -> its name, and what the line says of it there
_VALUES = {
    "a number": (5, f"found 5, {_STRING}"),
    "a fraction": (0.5, f"found 0.5, {_STRING}"),
    "true": (True, f"found True, {_STRING}"),
    "a large number": (2**60, f"found {2**60}, {_STRING}"),
    "a structure": ({"text": "x"}, f"found {{'text': 'x'}}, {_STRING}"),
    "an empty structure": ({}, f"found {{}}, {_STRING}"),
    "one message outside a list": (
        {"role": "user", "content": "x"},
        f"found {{'role': 'user', 'content': 'x'}}, {_STRING}",
    ),
    "a message without content": ([{"role": "user"}], "found {'role': 'user'}, expected a message with `role`"),
    "a message without role": ([{"content": "x"}], "found {'content': 'x'}, expected a message with `role`"),
    "a message of null": ([{"role": "user", "content": None}], "found a message with role 'user' and content None"),
    "a message of parts": (
        [{"role": "user", "content": [{"type": "text", "text": "x"}]}],
        "found a message with role 'user' and content [{",
    ),
    "a message with a number for a role": (
        [{"role": 1, "content": "x"}],
        "found a message with role 1 and content 'x'",
    ),
    "a message with role null": ([{"role": None, "content": "x"}], "found a message with role None"),
    "a message with a misspelt role": (
        [{"role": "asistant", "content": "x"}],
        "found role 'asistant', did you mean 'assis",
    ),
    "messages in ShareGPT's words": (
        [{"from": "human", "value": "x"}],
        "found {'from': 'human', 'value': 'x'}, expected",
    ),
    "numbers in a list": ([1, 2], _STRING),
    "null in a list": ([None], _STRING),
    "a list of lists of numbers": ([[1], [2]], _STRING),
    "ten lists in one another": ([[[[[[[[[["x"]]]]]]]]]], _STRING),
}


def attempt(rows, place: Place):
    """Write the rows, one of them or several, and evaluate a task on them."""
    task = preference_task([], place.folder)
    rows = rows if isinstance(rows, list) else [rows]
    (place.folder / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return evaluated(task, place)


def row(**columns) -> dict:
    """A good row with some of its columns changed; `...` leaves one out."""
    return {name: value for name, value in {**ROWS[0], **columns}.items() if value is not ...}


def turns(*roles: str) -> list[dict]:
    """Messages of these roles."""
    return [{"role": role, "content": f"message {i}"} for i, role in enumerate(roles)]


_TYPES = {
    f"{column} is {name}": line(row(**{column: value}), says)
    for column in ("prompt", "chosen", "rejected")
    for name, (value, says) in _VALUES.items()
}

_CAPITALS = [{"role": "USER", "content": "x"}]
_ABSENT = {
    "prompt is of a role in capitals": line(row(prompt=_CAPITALS), "did you mean 'user'"),
    "chosen is of a role in capitals": line(row(chosen=_CAPITALS), "did you mean 'user'?, in chosen"),
    "prompt is null": line(row(prompt=None), "found no prompt (null)"),
    "chosen is null": line(row(chosen=None), "in chosen (data"),
    "rejected is null": line(row(rejected=None), "in rejected (data"),
    "prompt is an empty list": line(row(prompt=[]), "found a response without a prompt"),
    "chosen is an empty list": line(row(chosen=[]), "found 0 preferred and 1 other responses"),
    "rejected is an empty list": line(row(rejected=[]), "found 1 preferred and 0 other responses"),
    "prompt is a list of one string": line(row(prompt=["One?"]), f"found ['One?'], {_STRING}"),
    "prompt is an empty string": scored(row(prompt="")),
    "chosen is an empty string": scored(row(chosen="")),
    "rejected is an empty string": scored(row(rejected="")),
    "both responses are empty": scored(row(chosen="", rejected=""), "is the same as another one (row 0 (id 7))"),
    "no column prompt, responses with nothing in common": line(
        row(prompt=...), "found no prompt: the responses do not"
    ),
    "no column prompt, responses that are the same": line(
        row(prompt=..., chosen="x", rejected="x"),
        "x",
    ),
    "no column chosen": line(row(chosen=...), "found no column 'chosen' (columns: id, prompt, rejected, kind)"),
    "no column rejected": line(row(rejected=...), "found no column 'rejected'"),
    "columns in capitals": line(
        {"Prompt": "a", "Chosen": "b", "Rejected": "c"}, "found no column 'chosen' (columns: Pro"
    ),
    "a row without columns": line({}, "could not load the json files"),
    "no row": line([], "could not load the json files"),
    "a second row without prompt": line([row(), row(prompt=..., id=8)], "row 1 (id 8): found no prompt (null)"),
    "a second row without chosen": line([row(), row(chosen=..., id=8)], "row 1 (id 8): found None"),
    "a row without columns after a good one": line([row(), {}], "row 1 (id None): found None"),
}

_MIXED = {
    "prompt is text, then a number": line([row(), row(prompt=5)], "row 1 (id 7): found 5"),
    "prompt is text, then messages": scored([row(), row(prompt=turns("user"))]),
    "chosen is text, then a list": scored([row(), row(chosen=["a"])]),
    "chosen is a number, then text": line([row(chosen=5), row()], "row 0 (id 7): found 5"),
    "chosen is text, rejected messages": scored(row(rejected=turns("assistant"))),
    "a column more in the second row": scored([row(), row(more=1)]),
    "the same row twice": scored([row(), row()]),
    "id is null": line([row(id=None, chosen=5)], "row 0 (id None): found 5"),
    "a bad row among good ones": line([row(), row(id=8, prompt=None), row()], "row 1 (id 8): found no prompt"),
}

_TURNS = {
    "chosen ends with a user's message": line(row(chosen=turns("assistant", "user")), "ends with a user message"),
    "chosen is a user's message": line(row(chosen=turns("user")), "begins with a user message other than the prompt"),
    "chosen begins with another prompt": line(row(chosen=turns("user", "assistant")), "other than the prompt"),
    "chosen is a system message": line(
        row(chosen=turns("system")), "begins with a system message other than the prompt"
    ),
    "chosen is one response, without prompt": line(
        row(prompt=..., chosen=turns("assistant"), rejected=turns("assistant")), "found a response without a prompt"
    ),
    "prompt ends with the assistant's message": scored(row(prompt=turns("user", "assistant"))),
    "prompt has two users' messages in a row": scored(row(prompt=turns("user", "user"))),
    "prompt is a system message alone": scored(row(prompt=turns("system"))),
    "prompt is of a role that no template knows": scored(row(prompt=turns("narrator"))),
    "prompt is of a role of another name": scored(
        row(prompt=turns("human")), "has the role 'human' (row 0 (id 7)), expected 'user'"
    ),
    "chosen is of a role of another name": line(
        row(chosen=turns("gpt")), "found role 'gpt', did you mean 'assistant'?, in chosen"
    ),
    "prompt is of a tool": scored(row(prompt=turns("tool"))),
    "prompt is of an empty role": scored(row(prompt=turns(""))),
    "messages with further keys": scored(row(prompt=[{"role": "user", "content": "x", "name": "y"}])),
    "a message of nothing": scored(row(prompt=[{"role": "user", "content": ""}])),
    "an empty message in the middle": line(row(prompt=[*turns("user"), {}]), "found {}, expected a message"),
    "conversations after different prompts": scored(
        row(prompt=..., chosen=turns("user", "assistant"), rejected=turns("system", "user", "assistant")),
        "the responses follow different messages",
    ),
    "a list of responses with null": line(row(chosen=["a", None]), f"found None, {_STRING}"),
    "a list of a response and a list": line(row(chosen=[["a"], ["b"]]), f"found ['a'], {_STRING}"),
    "two hundred responses": scored(row(rejected=[f"response {i}" for i in range(200)])),
    "chosen among the rejected": scored(row(rejected=["long answer", "b"]), "is the same as another one"),
}

_TEXTS = {
    "half of a surrogate pair": line(row(prompt="half \ud83d"), "could not load the json files"),
    "half of a surrogate pair in a response": line(row(chosen="half \udc00"), "could not load the json files"),
    "a NUL character": scored(row(prompt="a\0b")),
    "control characters": scored(row(prompt="\x01\x1b[31m\x7f")),
    "other line ends": scored(row(prompt="a\r\nb\u2028c\u2029d\x85e")),
    "a byte order mark": scored(row(prompt="\ufefftext")),
    "right to left": scored(row(prompt="\u202eabc \u05d0\u05d1")),
    "emoji of several parts": scored(row(prompt="👩‍👩‍👧‍👦 🏳️‍🌈")),
    "white space alone": scored(row(prompt=" \t\n")),
    "white space around a response": scored(row(chosen="  x  ")),
    "text with the labels of turns": scored(row(prompt="a\n\nAssistant: b\n\nUser: c")),
    "text in Jinja": scored(row(prompt="{{ 7 * 7 }} {% for %}", chosen="{{ raise }}")),
    "text with a template's markers": scored(row(prompt="<|end|><|assistant|><s></s>[INST]")),
    "text with percent signs": scored(row(prompt="%s %d %(x)s {} {0}")),
    "a million characters": scored(row(prompt="word " * 200_000)),
    "a response of a million characters": scored(row(chosen="x" * 1_000_000)),
    "NaN for a prompt": line(row(prompt=float("nan")), "row 0"),
    "a number beyond 64 bits": line(row(prompt=2**70), "found"),
    "a structure for an id": scored(row(id={"a": 1})),
    "a column with a line end in its name": line({**row(chosen=...), "cho\nsen": "x"}, "found no column 'chosen'"),
    "a column called task": scored(row(task="x", metadata={"a": 1}, **{"class": "y"})),
    "a column of the name that samples get": scored(row(skywork_rb="x")),
}

AREA = Area("rows of data", {**_TYPES, **_ABSENT, **_MIXED, **_TURNS, **_TEXTS}, attempt)
