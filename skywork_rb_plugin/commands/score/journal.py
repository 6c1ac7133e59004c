"""OUTPUT.progress: what a run has scored, so that one that is killed goes on, and what made the output.

A line says what made it, the next how far the output is complete; then comes one for each forward pass since. The file is
replaced whole when a window of rows has been written, so that it stays small.
"""

import json
import os
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path

from skywork_rb_plugin.commands.score.windows import Passed
from skywork_rb_plugin.errors import UserError
from skywork_rb_plugin.models.score_cache import mixed, same, text_hash
from skywork_rb_plugin.scoring.progress import Counts


@dataclass
class State:
    """How far the output is complete.

    Attributes:
        rows: that it has.
        bytes: of these.
        before: hash of the data up to there.
        whole: of all of it.
        finished: whether these are all.
        counts: of all runs so far.
        seconds: likewise.
    """

    rows: int = 0
    bytes: int = 0
    before: str = ""
    whole: str = ""
    finished: bool = False
    counts: Counts = field(default_factory=Counts)
    seconds: float = 0.0


class Journal:
    """The file and what is in it.

    Args:
        output: the file that the rewards go to.
        anew: whether what is there is not gone on from; it is replaced by `start`.

    Attributes:
        made_by: what made the output, by names in words; empty where there is none.
        state: how far it is.

    Raises:
        UserError: the file is damaged.
    """

    def __init__(self, output: Path, anew: bool = False) -> None:
        self.path, self._output = Path(f"{output}.progress"), output
        self.made_by: dict[str, str] = {}
        self.state, self._file, self._seconds = State(), None, 0.0
        self._kept: dict[str, dict[str, float]] = {"rewards": {}, "halves": {}}
        self._start, self._length = time.monotonic(), 0
        if self.path.exists() and not anew:
            try:
                self._read()
            except (OSError, ValueError, TypeError, KeyError) as error:
                raise UserError(
                    f"{self.path} is damaged or no record of this command ({' '.join(str(error).split())[:100]}); give another "
                    "-o, or --overwrite to begin anew"
                ) from error

    def _read(self) -> None:
        # what was half written when the run was killed is no line
        lines = self.path.read_bytes().split(b"\n")[:-1]
        self._length = sum(len(line) + 1 for line in lines)
        made_by, state, *passes = map(json.loads, lines)
        self.made_by = made_by["made by"]
        self.state = State(**{**state, "counts": Counts(**state["counts"])})
        self._seconds = self.state.seconds
        for one in passes:
            for kind, kept in self._kept.items():
                kept.update(one.get(kind, {}))
            self.state.counts, self._seconds = Counts(**one["counts"]), one["seconds"]

    def claim(self, made_by: Mapping[str, str]) -> None:
        """Check that these made what is there.

        Raises:
            UserError: others did; says what differs.
        """
        for name, value in made_by.items():
            if not same(name, found := self.made_by.get(name, value), value):
                raise UserError(
                    f"{self._output} was made with {name} {found}, this run has {value}; give another -o, or --overwrite to "
                    "begin anew"
                )
        self.made_by = {**made_by, **self.made_by}

    def disown(self) -> None:
        """Mark the output as made by two models, so that no run goes on from it."""
        self.made_by = mixed(self.made_by)
        self.advance(self.state)

    def check_data(self, origin: str, before: Passed, whole: Passed) -> None:
        """Check that the data is what the output was made of; rows that are not in it may have changed.

        Args:
            origin: the data in words.
            before: what of it comes before the rows that the output lacks.
            whole: all of it.

        Raises:
            UserError: it is other data.
        """
        state, found = self.state, None
        if whole.rows < state.rows:
            found = f"it has {whole.rows:,} rows, and {state.rows:,} were scored"
        elif state.rows and (before.rows, before.digest) != (state.rows, state.before):
            found = f"the first {state.rows:,} of its {whole.rows:,} rows are not those that were scored"
        elif state.finished and whole.rows > state.rows:
            found = f"it has {whole.rows:,} rows, and had {state.rows:,}"
        if found:
            raise UserError(
                f"the data {origin} is not what {self._output} was made of: {found}; give another -o, or --overwrite to begin anew"
            )
        if state.whole not in ("", whole.digest):
            self._length = 0  # of rows that may have changed the passes would be others
        state.whole = whole.digest

    def check_output(self) -> None:
        """Check that the output is there as far as it was written.

        Raises:
            UserError: it is shorter, or it is finished and has another length.
        """
        found, written = self._output.stat().st_size if self._output.exists() else 0, self.state.bytes
        if found < written or (self.state.finished and found != written):
            raise UserError(
                f"{self._output} has {found:,} bytes, expected the {written:,} that were written: it was changed; give another "
                "-o, or --overwrite to begin anew"
            )

    @property
    def begun(self) -> bool:
        """Whether an earlier run left something to go on from."""
        return self._length > 0

    def seconds(self) -> float:
        """Of all runs so far; `start` begins this one's."""
        return self._seconds + time.monotonic() - self._start

    def start(self) -> None:
        """Begin to count time and to write."""
        self._start = time.monotonic()
        if self._length:
            self._file = self.path.open("r+b")
            self._file.truncate(self._length)
            self._file.seek(self._length)
        else:
            self.advance(self.state)

    def advance(self, state: State) -> None:
        """Note that the output is complete so far."""
        self.state, state.seconds = state, self.seconds()
        for kept in self._kept.values():
            kept.clear()
        new = Path(f"{self.path}.new")
        with new.open("wb") as file:
            for part in ({"made by": self.made_by}, asdict(state)):
                file.write(_line(part))
            file.flush()
            os.fsync(file.fileno())
        self.close()
        new.replace(self.path)
        self._file = self.path.open("ab")

    def keep(self, kind: str, scores: Mapping[str, float]) -> None:
        """Note what a forward pass gave."""
        found = {text_hash(text)[:16]: score for text, score in scores.items()}
        self._file.write(_line({kind: found, "counts": asdict(self.state.counts), "seconds": self.seconds()}))
        self._file.flush()

    def get(self, kind: str, text: str) -> float | None:
        """The score of a conversation, if it is there."""
        return self._kept[kind].get(text_hash(text)[:16])

    def close(self) -> None:
        """Write no more."""
        if self._file is not None:
            with suppress(OSError):  # what a full disk did not take was told before
                self._file.close()


def _line(content: Mapping) -> bytes:
    return (json.dumps(content) + "\n").encode()
