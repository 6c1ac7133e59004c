"""What travels through the host: messages as a string, and rewards as floats that know their conversation's length.

A request of the host is `(context, continuation)`, and its cache hashes both. A `Conversation` is that context: a `str`
for language models that know only text, and the messages for reward models. A `Reward` is the answer. Needs no torch.
"""

import difflib
import json
import re
import zlib
from collections.abc import Mapping, Sequence

Message = dict[str, str]

_ROLES_OF_TEMPLATES = ("system", "user", "assistant", "developer", "tool")
# what other formats call them, and so some templates: ShareGPT, OpenAssistant, Gemini
_OTHER_NAMES = {
    "human": "user", "prompter": "user", "gpt": "assistant", "chatgpt": "assistant", "chatbot": "assistant",
    "bot": "assistant", "ai": "assistant", "model": "assistant",
}  # fmt: skip
_LABELS = {"system": "System", "user": "User", "assistant": "Assistant"}
_ROLES = {label: role for role, label in _LABELS.items()}
_END = "\n\nAssistant: "


class Conversation(str):
    """A prompt: the messages before the response, as a `str` that differs whenever a role or a content differs.

    The text is `User: …` turns ending in `Assistant: `; a conversation that such text could not tell apart from
    another one is written as JSON instead.

    Raises:
        ValueError: a message is not a mapping with a string `role` and a string `content`.
    """

    messages: tuple[Message, ...]

    def __new__(cls, messages: Sequence[Mapping]):
        """Check the messages and write their text."""
        messages = tuple(check_message(message) for message in messages)
        self = super().__new__(cls, _text_of(messages))
        self.messages = messages
        return self

    def __reduce__(self):
        return type(self), (self.messages,)


class Reward(float):
    """A reward, in the model's own units, with what the sample logs tell of its conversation.

    Attributes:
        tokens: that the model was given, or None where that is not known.
        cut: whether there were more than the model's length allows.
    """

    tokens: int | None
    cut: bool | None

    def __new__(cls, value: float, tokens: int | None = None, cut: bool | None = None):
        """A float with two more facts; arithmetic gives plain floats."""
        self = super().__new__(cls, value)
        self.tokens, self.cut = tokens, cut
        return self

    def __reduce__(self):
        # a file that keeps it may be damaged, and every eight bytes are some float
        state = float(self), self.tokens, self.cut
        return kept_reward, (*state, _checksum(state))


def kept_reward(value: float, tokens: int | None, cut: bool | None, checksum: int) -> Reward:
    """The Reward that a pickle holds.

    Raises:
        ValueError: it is not what was written.
    """
    if checksum != _checksum((value, tokens, cut)):
        raise ValueError("it is not what was written: its checksum is another")
    return Reward(value, tokens, cut)


def _checksum(state: tuple) -> int:
    return zlib.crc32(repr(state).encode())


def check_message(message: object) -> Message:
    """`message` as a plain `{"role": …, "content": …}`; ValueError says what else was found."""
    if not isinstance(message, Mapping) or not {"role", "content"} <= set(message):
        raise ValueError(f"found {_short(message)}, expected a message with `role` and `content`")
    role, content = message["role"], message["content"]
    if not isinstance(role, str) or not isinstance(content, str):
        raise ValueError(
            f"found a message with role {_short(role)} and content {_short(content)}, expected two strings"
        )
    if role not in _ROLES_OF_TEMPLATES and (meant := _misspelt(role.strip().lower())):
        raise ValueError(f"found role {role!r}, did you mean {meant!r}?")
    return {"role": role, "content": content}


def usual_role(role: str) -> str | None:
    """The role that most templates know, for another name of it (`human`); None for all else."""
    return _OTHER_NAMES.get(role.strip().lower())


def _misspelt(name: str) -> str | None:
    near = [] if name in _OTHER_NAMES else difflib.get_close_matches(name, _ROLES_OF_TEMPLATES, 1, 0.7)
    return near[0] if near else None


def is_messages(value: object) -> bool:
    """Whether `value` is a list of messages (and not one of strings, or of such lists)."""
    return isinstance(value, Sequence) and not isinstance(value, str) and bool(value) and isinstance(value[0], Mapping)


def as_messages(value: object, role: str) -> list[Message]:
    """A string as one message of `role`; a list of messages checked and copied.

    Raises:
        ValueError: `value` is neither.
    """
    if isinstance(value, str):
        return [{"role": role, "content": value}]
    if is_messages(value):
        return [check_message(message) for message in value]
    raise ValueError(f"found {_short(value)}, expected a string or a list of messages with `role` and `content`")


def whole_conversation(value: object) -> list[Message]:
    """Messages that end in the assistant's, from such a list or from a pair of a prompt and a response.

    Raises:
        ValueError: `value` is neither; a prompt is a string or messages, a response a string.
    """
    if is_messages(value):
        messages = as_messages(value, "user")
    elif isinstance(value, Sequence) and not isinstance(value, str) and len(value) == 2 and isinstance(value[1], str):
        messages = [*as_messages(value[0], "user"), {"role": "assistant", "content": value[1]}]
    else:
        raise ValueError(f"found {_short(value)}, expected a list of messages, or a prompt and a response")
    if messages[-1]["role"] != "assistant":
        raise ValueError(f"found a last message of the {messages[-1]['role']}, expected the assistant's")
    if len(messages) == 1:
        raise ValueError("found a response alone, expected messages before it")
    return messages


def with_system(messages: Sequence[Message], instruction: str | None) -> list[Message]:
    """The messages with `instruction` as their system message, before the text of one they already have."""
    messages = list(messages)
    if not instruction:
        return messages
    if messages and messages[0]["role"] == "system":
        instruction = f"{instruction}\n\n{messages.pop(0)['content']}"
    return [{"role": "system", "content": instruction}, *messages]


def split_prompt(responses: Sequence[str]) -> tuple[str, list[str]]:
    """Split responses that each begin with the prompt (TRL's implicit-prompt format) into the prompt and the rest.

    The prompt is what all of them share, cut back to the last end of a word, so that no word is divided; the space
    after it goes to the responses. TRL cuts at the first differing character (huggingface/trl, trl/data_utils.py,
    `extract_prompt`): the two agree where the responses differ from a word's beginning on.

    Raises:
        ValueError: the responses share no beginning, or are the same.
    """
    first, last = min(responses), max(responses)
    if first == last:
        raise ValueError("found no prompt: the responses are one and the same text; expected a `prompt` column")
    shared = next((i for i, (a, b) in enumerate(zip(first, last, strict=False)) if a != b), len(first))
    if any(shared < len(text) and not text[shared].isspace() for text in responses):
        shared = re.search(r"\S*$", first[:shared]).start()
    prompt = first[:shared].rstrip()
    if not prompt:
        raise ValueError("found no prompt: the responses do not share their first word; expected a `prompt` column")
    return prompt, [text[len(prompt) :] for text in responses]


def _text_of(messages: Sequence[Message]) -> str:
    turns = [f"{_LABELS[m['role']]}: {m['content']}" for m in messages if m["role"] in _LABELS]
    text = "\n\n".join(turns) + _END
    return text if _parse(text) == list(messages) else json.dumps(list(messages), ensure_ascii=False) + _END


def _parse(text: str) -> list[Message] | None:
    """The messages that `_text_of` wrote as labelled turns; None where it would not have written `text`."""
    body = text[: -len(_END)]
    pieces = re.split(r"(?:\A|\n\n)(System|User|Assistant): ", body)
    if pieces[0] or len(pieces) < 3:
        return None
    return [
        {"role": _ROLES[label], "content": content} for label, content in zip(pieces[1::2], pieces[2::2], strict=True)
    ]


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 80 else text[:77] + "..."
