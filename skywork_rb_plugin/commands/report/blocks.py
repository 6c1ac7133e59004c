"""What the page is made of: tables, figures, rows to read; and how numbers are written."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

MINUS = "−"


@dataclass(frozen=True)
class Table:
    """A table, its first column the rows' names.

    Attributes:
        caption: what it is of.
        head: the columns' names.
        rows: cells as text; an empty one has nothing to say.
        depths: how far each row's name is set in; none: all alike.
        folded: what stands on it where it is folded; None: it is not.
        words: whether cells are words, which stand to the left.
    """

    caption: str
    head: Sequence[str]
    rows: Sequence[Sequence[str]]
    depths: Sequence[int] = ()
    folded: str | None = None
    words: bool = False


@dataclass(frozen=True)
class Exhibit:
    """A figure with its words, and its numbers in a table that is folded, or stands elsewhere (None)."""

    svg: str
    caption: str
    table: Table | None = None


@dataclass(frozen=True)
class Text:
    """A prompt, a response or a step.

    Attributes:
        label: what it is, in words.
        notes: of each run about it, such as its reward.
        text: cut.
        left_out: how many characters were.
        kind: `good` or `bad` for responses that should win or lose, `step` for one of several that follow each other.
    """

    label: str
    notes: Sequence[str]
    text: str
    left_out: int = 0
    kind: str = ""


@dataclass(frozen=True)
class Reading:
    """A row to read.

    Attributes:
        title: its task and its place there.
        verdicts: of each run, in words.
        start: the first words of what was asked.
        prompt, texts: what was asked, and the responses.
        place: where it stands in full.
        unsafe: whether to warn first.
    """

    title: str
    verdicts: Sequence[str]
    start: str
    prompt: Text
    texts: Sequence[Text]
    place: str
    unsafe: bool


@dataclass(frozen=True)
class Part:
    """A part of the page with an anchor.

    Attributes:
        name, title: its anchor, its heading.
        words: paragraphs at its beginning.
        tables, exhibits, readings, commands: shown in this order; a command line has the name of its run.
        parts: with headings of their own.
    """

    name: str
    title: str
    words: Sequence[str] = ()
    tables: Sequence[Table] = ()
    exhibits: Sequence[Exhibit] = ()
    readings: Sequence[Reading] = ()
    commands: Sequence[tuple[str, str]] = ()
    parts: Sequence["Part"] = field(default=())


def number(value: float | None, digits: int = 4) -> str:
    """With so many significant digits; empty for None."""
    if value is None:
        return ""
    if math.isinf(value):
        return f"{MINUS if value < 0 else ''}∞"
    text = (
        f"{value:.{digits}g}"
        if abs(value) < 10**digits
        else f"{value:.{digits - 1}e}"
        if abs(value) >= 1e6
        else f"{value:.0f}"
    )
    return text.replace("-", MINUS)


def percent(value: float | None, digits: int = 2) -> str:
    """A share in percent, without the sign; empty for None."""
    return "" if value is None else f"{100 * value:.{digits}f}".replace("-", MINUS)


def signed(text: str) -> str:
    """With a sign in front also where it is a plus."""
    return text if not text or text.startswith(MINUS) or not text.strip("0.") else f"+{text}"


def p_value(value: float | None) -> str:
    """To three decimals; empty for None."""
    return "" if value is None else "< 0.001" if value < 0.001 else f"{value:.3f}"


def count(value: int, word: str) -> str:
    """`1 row`, `2,985 rows`."""
    return f"{value:,} {word}" if value == 1 else f"{value:,} {word}s"


def listed(words: Sequence[str], most: int = 6) -> str:
    """`a, b and c`; of many the first, and how many more there are."""
    words = [*words[:most], f"{len(words) - most} more"] if len(words) > most else list(words)
    return f"{', '.join(words[:-1])} and {words[-1]}" if len(words) > 1 else "".join(words)
