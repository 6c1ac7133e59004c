"""A row read as the YAML says, each part once: a function of the user's or Jinja may be slow."""

import functools
from collections.abc import Mapping

from skywork_rb_plugin.tasks.rows import Choice, Named, choices_of, named_responses, preferred_of, scores_of


class Reading:
    """The parts of one row, each read when it is first asked for, and then kept.

    Attributes:
        doc: the row's columns.

    Raises:
        ValueError: from a part that can't be read; a function of the user's may raise anything.
    """

    def __init__(self, doc: Mapping, fields: Mapping) -> None:
        self.doc, self._fields = doc, fields

    @functools.cached_property
    def _named(self) -> Named:
        return named_responses(self.doc, self._fields.get("doc_to_choice"))

    @functools.cached_property
    def choices(self) -> list[Choice]:
        """The responses, each with the messages before it."""
        return choices_of(self.doc, self._fields.get("doc_to_text"), named=self._named)

    @functools.cached_property
    def scores(self) -> list[float]:
        """What `doc_to_scores` gives each response."""
        return scores_of(self.doc, len(self._named), self._fields["doc_to_scores"])

    @functools.cached_property
    def preferred(self) -> list[int]:
        """Indices of the preferred responses: with `doc_to_scores` those of the highest score."""
        if "doc_to_scores" in self._fields:
            return [i for i, score in enumerate(self.scores) if score == max(self.scores)]
        return preferred_of(
            self.doc, self._fields.get("doc_to_choice"), self._fields.get("doc_to_target"), named=self._named
        )

    @functools.cached_property
    def pairs(self) -> list[tuple[int, int]]:
        """Indices of a better and a worse response: by the data's own scores, or the preferred before the others."""
        if "doc_to_scores" in self._fields:
            ranks = self.scores
        else:
            ranks = [i in self.preferred for i in range(len(self._named))]
        return [(i, j) for i, better in enumerate(ranks) for j, worse in enumerate(ranks) if better > worse]
