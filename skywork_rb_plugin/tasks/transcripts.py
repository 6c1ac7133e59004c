"""Conversations written as transcripts: Anthropic's `\n\nHuman: …\n\nAssistant: …`."""

import re
from collections.abc import Iterator, Mapping
from itertools import groupby, pairwise

from skywork_rb_plugin.conversations import Message
from skywork_rb_plugin.tasks.notes import Note

_ROLES = {"Human": "user", "Assistant": "assistant"}
_TURN = re.compile(r"\n\n(Human|Assistant):")
JOINED = Note(
    "one speaker has two turns in a row", "them to alternate, as many chat templates want: they are one message"
)


def messages_of(transcript: str) -> list[Message]:
    """The turns of a transcript; turns of one speaker in a row are one message.

    Raises:
        ValueError: it does not begin with a speaker.
    """
    return [
        {"role": role, "content": "\n\n".join(text for _, text in turns)}
        for role, turns in groupby(_turns(transcript), key=lambda turn: turn[0])
    ]


def _turns(transcript: str) -> list[tuple[str, str]]:
    """(role, text) of each turn."""
    before, *turns = _TURN.split(transcript if transcript.startswith("\n\n") else f"\n\n{transcript}")
    if before.strip() or not turns:
        raise ValueError(f"found {transcript[:60]!r}, expected a transcript that begins with Human: or Assistant:")
    return [(_ROLES[speaker], text.strip()) for speaker, text in zip(turns[::2], turns[1::2], strict=True)]


def chosen_and_rejected(doc: Mapping) -> list[list[Message]]:
    """For `doc_to_choice`: the transcripts in the columns `chosen` and `rejected`, the preferred one first."""
    return [messages_of(doc["chosen"]), messages_of(doc["rejected"])]


def _notes(doc: Mapping) -> Iterator[Note]:
    """Whether turns were joined: no reader of such data does as another, so a task says it."""
    for column in ("chosen", "rejected"):
        if any(role == following for (role, _), (following, _) in pairwise(_turns(doc[column]))):
            yield JOINED
            return


chosen_and_rejected.notes = _notes
