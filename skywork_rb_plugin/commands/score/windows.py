"""Rows in windows: as many as are scored together, in which what conversations share is computed once."""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import islice

from skywork_rb_plugin.commands.score.reading import Reader, characters_of
from skywork_rb_plugin.commands.score.source import Row, Source
from skywork_rb_plugin.errors import UserError
from skywork_rb_plugin.models.documents import Document

# of a window's conversations: some five hundred packs or more; all of a window's text is in memory
CHARACTERS = 8_000_000


@dataclass
class Passed:
    """What of the data is behind.

    Attributes:
        rows: how many.
        conversations: that they have, by responses.
        work: conversations that go through the model for them, equal ones included.
        sha256: of the rows' text.
    """

    rows: int = 0
    conversations: int = 0
    work: int = 0
    sha256: "hashlib._Hash" = field(default_factory=hashlib.sha256)

    def add(self, row: Row, document: Document, work: int) -> None:
        """Count a row."""
        self.rows += 1
        self.conversations += len(document.conversations)
        self.work += work
        self.sha256.update(row.text.encode(errors="surrogatepass") + b"\n")

    @property
    def digest(self) -> str:
        """The hash as text."""
        return self.sha256.hexdigest()

    def copy(self) -> "Passed":
        """As it is now."""
        return Passed(self.rows, self.conversations, self.work, self.sha256.copy())


def survey(source: Source, reader: Reader, limit: int | None, at: int) -> tuple[Passed, Passed]:
    """Read every row once, so that what can't be read is told before anything is scored.

    Returns:
        What there is, and what is before row `at`.

    Raises:
        UserError: a row can't be read, or there is none.
    """
    from tqdm import tqdm

    passed = Passed()
    before = passed.copy()
    for row in tqdm(islice(source.rows(0), limit), desc="Reading", unit=" rows", delay=5):
        document = reader.read(row)
        passed.add(row, document, reader.work(document))
        if passed.rows == at:
            before = passed.copy()
    if not passed.rows:
        raise UserError(f"found no rows in {source.origin}, expected some")
    return passed, before


def windows(source: Source, reader: Reader, limit: int | None, start: int) -> Iterator[list[tuple[Row, Document]]]:
    """The rows from `start` on, in windows of about CHARACTERS: the first that makes it more is the next one's."""
    window, size = [], 0
    for row in islice(source.rows(start), None if limit is None else limit - start):
        document = reader.read(row)
        more = characters_of(document, reader.work(document))
        if window and size + more > CHARACTERS:
            yield window
            window, size = [], 0
        window.append((row, document))
        size += more
    if window:
        yield window
