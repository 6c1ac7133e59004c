"""Texts of other people's making, so that they can be shown: nothing invisible in them acts on what stands around."""

import unicodedata

# control and format characters (such as those that turn the direction of writing), halves of surrogate pairs, separators of lines
_ACTING = {"Cc", "Cf", "Cs", "Zl", "Zp"}
# line feed and tab; joiners, which emoji and some scripts need
_HARMLESS = set("\n\t\u200c\u200d")
# what XML forbids beside these
_FORBIDDEN = set("\ufffe\uffff")


def shown(text: str) -> str:
    """The text with its characters that act or have no shape as `⟨U+0000⟩`; line ends of Windows become plain ones."""
    text = text.replace("\r\n", "\n")
    return text.translate({ord(c): f"⟨U+{ord(c):04X}⟩" for c in set(text) if _acts(c)})


def _acts(character: str) -> bool:
    acting = unicodedata.category(character) in _ACTING and character not in _HARMLESS
    return acting or character in _FORBIDDEN


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
