"""Texts of others on a terminal: nothing in them acts on it."""

import unicodedata

# joiners within emoji and scripts that need them
_HARMLESS = {"\u200c", "\u200d"}


def visible(text: str) -> str:
    """The text in one line's characters: what would act on a terminal or has no shape is shown as an escape.

    Control characters, format characters (such as those that turn the direction of writing), lone surrogates, and separators
    of lines and paragraphs.
    """
    return "".join(_escape(c) if unicodedata.category(c) in _ACTING and c not in _HARMLESS else c for c in text)


_ACTING = {"Cc", "Cf", "Cs", "Zl", "Zp"}


def _escape(character: str) -> str:
    return character.encode("unicode_escape", "surrogatepass").decode("ascii")
