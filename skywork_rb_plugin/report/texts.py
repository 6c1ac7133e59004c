"""Texts of other people's making, so that they can be shown: nothing invisible in them acts on what stands around."""

import re

# control characters but line feed and tab, halves of surrogate pairs, marks that turn the direction of writing, and what XML forbids
_UNSEEN = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff\ufffe\uffff]")


def shown(text: str) -> str:
    """The text with its invisible control characters as `⟨U+0000⟩`; line ends of Windows become plain ones."""
    return _UNSEEN.sub(lambda found: f"⟨U+{ord(found[0]):04X}⟩", text.replace("\r\n", "\n"))


def in_a_line(text: str, limit: int = 0) -> str:
    """A name in one line; of a longer one than `limit` characters, where that is not 0, the middle is left out."""
    text = " ".join(shown(text).split())
    if not limit or len(text) <= limit:
        return text
    head = limit // 2
    return f"{text[:head]}…{text[len(text) - (limit - head - 1) :]}"


def cut(text: str, limit: int) -> tuple[str, int]:
    """A text to show, and how many characters of it were left out after `limit`."""
    return shown(text[:limit]), max(len(text) - limit, 0)
