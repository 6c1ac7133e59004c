"""Scores the data window by window: rewards go to the output in the order of the rows, passes to the journal as they come."""

import logging
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from tqdm import tqdm

from skywork_rb_plugin.commands.score.journal import Journal, State
from skywork_rb_plugin.commands.score.reading import Reader
from skywork_rb_plugin.commands.score.source import Source
from skywork_rb_plugin.commands.score.windows import Passed, windows
from skywork_rb_plugin.errors import UserError
from skywork_rb_plugin.models.reward_lm import RewardLM


def score_rows(
    model: RewardLM,
    source: Source,
    reader: Reader,
    journal: Journal,
    output: Path,
    passed: Passed,
    total: Passed,
) -> State:
    """Score what is not in the output yet, and write it there.

    Args:
        model: gives the rewards.
        source: where rows come from.
        reader: reads them.
        journal: says how far the output is, and is told.
        output: the file.
        passed: what of the data is in the output.
        total: what of it is to be.

    Returns:
        The state at the end.

    Raises:
        UserError: a conversation can't be scored, or the data changes.
        OSError: a file can't be written.
    """
    journal.start()
    with _opened(output, journal.state.bytes) as file, _Bar(journal, passed, total) as bar:
        model.keep_halves(_Kept(journal, "halves", bar, 0.5))
        kept = _Kept(journal, "rewards", bar, 0.5 if model.takes_halves else 1)
        for window in windows(source, reader, total.rows, passed.rows):
            counts = journal.state.counts
            rewards = model.score_documents([document for _, document in window], counts, kept)
            size = journal.state.bytes
            for (row, document), each in zip(window, rewards, strict=True):
                size += file.write(reader.line(row.text, each))
                passed.add(row, document, reader.work(document))
            file.flush()
            os.fsync(file.fileno())
            state = replace(
                journal.state, rows=passed.rows, bytes=size, before=passed.digest, finished=passed.rows == total.rows
            )
            journal.advance(state)
            bar.at(passed.work)
    if passed.digest != total.digest:
        raise UserError(f"the data {source.origin} changed while it was read, expected the same rows until the end")
    return journal.state


@contextmanager
def _opened(output: Path, size: int) -> Iterator:
    """The output, with what was complete in it."""
    with output.open("r+b" if output.exists() else "wb") as file:
        file.truncate(size)
        file.seek(size)
        yield file


class _Bar:
    """Conversations that went through the model, of all, and their rates; equal ones in a window count at its end."""

    def __init__(self, journal: Journal, passed: Passed, total: Passed) -> None:
        self._journal, self._before = journal, journal.state.counts.tokens_forwarded
        self._bar = tqdm(
            desc="Scoring", total=total.work, initial=passed.work, unit=" conversations", smoothing=0, unit_scale=False
        )

    def __enter__(self) -> "_Bar":
        return self

    def __exit__(self, *error: object) -> None:
        self._bar.close()

    def add(self, work: float) -> None:
        """Count what one pass gave."""
        tokens = self._journal.state.counts.tokens_forwarded - self._before
        seconds = max(self._bar.format_dict["elapsed"], 1e-9)
        self._bar.set_postfix_str(f"{tokens / seconds:.0f} tokens/s", refresh=False)
        self._bar.update(work)

    def at(self, work: int) -> None:
        """Show that so many are behind."""
        self._bar.update(work - self._bar.n)


class _Kept:
    """Scores in the journal, which moves the bar."""

    def __init__(self, journal: Journal, kind: str, bar: _Bar, share: float) -> None:
        self._journal, self._kind, self._bar, self._share = journal, kind, bar, share

    def get(self, text: str) -> float | None:
        return self._journal.get(self._kind, text)

    def update(self, scores: Mapping[str, float]) -> None:
        self._journal.keep(self._kind, scores)
        self._bar.add(self._share * len(scores))


@contextmanager
def quiet() -> Iterator[None]:
    """Without what the log says of each window: the last line says it of all."""
    loggers = [
        logging.getLogger(f"lm_eval.skywork_rb_plugin.{name}") for name in ("models.distinct", "scoring.progress")
    ]
    levels = [logger.level for logger in loggers]
    try:
        for logger in loggers:
            logger.setLevel(logging.ERROR)
        yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
