"""What has been scored so far: for the eye while it runs, for the results file afterwards."""

import logging
import time
from collections.abc import Iterable, Sequence
from dataclasses import asdict, astuple, dataclass
from operator import mul, sub

from tqdm import tqdm

from skywork_rb_plugin.scoring.batches import Scored

logger = logging.getLogger(f"lm_eval.{__name__}")


@dataclass
class Counts:
    """Conversations and tokens; names as in the results file.

    Attributes:
        conversations_scored: distinct ones.
        conversations_truncated: those that were cut to the model's length.
        tokens_truncated: that were cut from them.
        tokens_asked: of all requests, as if each conversation were computed alone.
        tokens_forwarded: that the model computed, without padding.
        tokens_padding: that it computed besides, to fill up shapes.
    """

    conversations_scored: int = 0
    conversations_truncated: int = 0
    tokens_truncated: int = 0
    tokens_asked: int = 0
    tokens_forwarded: int = 0
    tokens_padding: int = 0

    def add(self, scored: Scored, requests: Sequence[int]) -> None:
        """Count one forward pass; `requests` says how many asked for each of its conversations."""
        self.conversations_scored += len(scored.scores)
        self.tokens_asked += sum(map(mul, scored.lengths, requests))
        self.tokens_forwarded += scored.forwarded
        self.tokens_padding += scored.padding

    def since(self, before: "Counts") -> "Counts":
        """What was added to an earlier state."""
        return Counts(*map(sub, astuple(self), astuple(before)))

    def in_words(self, seconds: float) -> str:
        """For the log: what it took, and what was cut."""
        padding = f" and {self.tokens_padding:,} of padding" if self.tokens_padding else ""
        cut = f"{self.conversations_truncated:,} cut by {self.tokens_truncated:,} tokens"
        return (
            f"{self.conversations_scored:,} conversations in {seconds:.1f} s: {self.tokens_asked:,} tokens asked for, "
            f"{self.tokens_forwarded:,} forwarded{padding}, {cut if self.conversations_truncated else 'none cut'}"
        )

    @classmethod
    def total(cls, counts: Iterable["Counts"]) -> "Counts":
        """Those of several processes, added up."""
        return cls(*map(sum, zip(*map(astuple, counts), strict=True)))

    def report(self) -> dict[str, int]:
        """For the results file; `tokens_saved` are those asked for that need not be forwarded."""
        counts = asdict(self)
        counts["tokens_saved"] = counts.pop("tokens_asked") - self.tokens_forwarded
        return counts


class Progress:
    """A bar whose remaining time goes by characters, since conversations differ in length; rates beside it."""

    def __init__(self, texts: Sequence[str], hidden: bool, delay: float = 0) -> None:
        """Show it, unless `hidden`, after `delay` seconds."""
        self._texts, self._start = texts, time.monotonic()
        self._conversations = self._tokens = 0
        self._bar = tqdm(
            total=sum(map(len, texts)),
            desc="Scoring",
            disable=hidden,
            delay=delay,
            smoothing=0,
            bar_format="{desc}: {percentage:3.0f}%|{bar}| [{elapsed}<{remaining}{postfix}]",
            postfix=f"0/{len(texts)} conversations",
        )

    def __enter__(self) -> "Progress":
        return self

    def __exit__(self, *error: object) -> None:
        self._bar.close()

    def update(self, scored: Scored) -> None:
        """Show what one forward pass added."""
        self._conversations += len(scored.scores)
        self._tokens += scored.forwarded
        seconds = max(time.monotonic() - self._start, 1e-9)
        self._bar.set_postfix_str(
            f"{self._conversations}/{len(self._texts)} conversations, {self._conversations / seconds:.1f} "
            f"conversations/s, {self._tokens / seconds:.0f} tokens/s",
            refresh=False,
        )
        self._bar.update(scored.share * sum(len(self._texts[i]) for i in scored.conversations))

    def say_interrupted(self, what_is_left: str) -> None:
        """Say what is left of an interrupted run."""
        logger.warning(
            "Interrupted: scores of %d of %d conversations %s.", self._conversations, len(self._texts), what_is_left
        )
