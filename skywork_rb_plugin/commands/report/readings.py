"""The page's rows to read: those that all models have wrong, and those that only one has right."""

import html
from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from typing import Any

from skywork_rb_plugin.commands.report.blocks import Part, Reading, Table, Text, count, number, signed
from skywork_rb_plugin.report import hardest
from skywork_rb_plugin.report.hardest import Answered
from skywork_rb_plugin.report.results import Run
from skywork_rb_plugin.report.rows import Row, prompt_and_responses
from skywork_rb_plugin.report.sections import Section
from skywork_rb_plugin.report.texts import cut
from skywork_rb_plugin.report.unsafe import is_unsafe

# characters of a text that are shown, the fewest that are tried, and bytes of all texts: a page stays below 6 MB
_LENGTH, _SHORTEST, _ROOM = 3000, 200, 4_000_000


class Readings:
    """Parts of rows, all cut at one length.

    Attributes:
        length: characters of each text that are shown.
    """

    def __init__(self, runs: Sequence[Run], sections: Sequence[Section], most: int) -> None:
        """Choose at most so many rows of each kind."""
        self._runs = runs
        self._names = {
            task: (section.benchmark, section.name, section.title) for section in sections for task in section.tasks
        }
        rows = hardest.answered(runs)
        self._asked = len(rows)
        self._wrong = hardest.all_wrong(rows)
        self._only = [hardest.only_right(rows, place) for place in range(len(runs))]
        self._most = most
        chosen = [*self._wrong[:most], *(one for some in self._only for one in some[:most])]
        self._samples = {id(one): _first(one).sample() for one in chosen}
        self.length = self._fitting()

    def hardest_part(self) -> Part | None:
        """Rows that no run has right; None where there are no logs."""
        if not self._asked:
            return None
        several = len(self._runs) > 1
        title = "Hardest rows: no model is right" if several else "Hardest rows"
        told = f"{count(len(self._wrong), 'row')} of {self._asked:,} {'no model' if several else 'the model'} has right"
        words = [f"{told}{self._shown(len(self._wrong))}. {self._order()}" if self._wrong else f"{told}."]
        return Part("hardest", title, words, readings=self._readings(self._wrong))

    def only_part(self) -> Part | None:
        """Rows that one run alone has right; None where there is one run, or no row of two."""
        if len(self._runs) < 2 or not self._asked:
            return None
        counts = [[run.name, f"{len(some):,}"] for run, some in zip(self._runs, self._only, strict=True)]
        table = Table("Rows that only this model has right", ["model", "rows"], counts)
        parts = [
            Part(
                f"only-{place}",
                f"Only {run.name} is right",
                [f"{count(len(some), 'row')}{self._shown(len(some))}."],
                readings=self._readings(some),
            )
            for place, (run, some) in enumerate(zip(self._runs, self._only, strict=True), start=1)
            if some
        ]
        words = [
            "Of rows that two models or more were asked about.",
            *([self._order()] if parts and self._most else []),
        ]
        return Part("only", "Right by one model only", words, [table], parts=parts)

    def _order(self) -> str:
        by_margin = any(
            one.hardness is not None for one in [*self._wrong, *(one for some in self._only for one in some)]
        )
        return f"{_BY_MARGIN if by_margin else 'In the order of the data.'} {_AS_THEY_ARE}"

    def _shown(self, there: int) -> str:
        if there <= self._most:
            return ""
        return f"; the hardest {self._most} are shown (--rows)" if self._most else "; none is shown (--rows 0)"

    def _readings(self, rows: Sequence[Answered]) -> list[Reading]:
        return [self._reading(one) for one in rows[: self._most]]

    def _fitting(self) -> int:
        length = _LENGTH
        while length > _SHORTEST and self._bytes(length) > _ROOM:
            length //= 2
        return max(length, _SHORTEST)

    def _bytes(self, length: int) -> int:
        texts = [
            text
            for sample in self._samples.values()
            for one in [prompt_and_responses(sample)]
            for text in (one[0], *one[1])
        ]
        return sum(len(html.escape(text[:length]).encode("utf-8", "replace")) for text in texts)

    def _reading(self, one: Answered) -> Reading:
        row, sample = _first(one), self._samples[id(one)]
        prompt, responses = prompt_and_responses(sample)
        doc = sample["doc"] if isinstance(sample["doc"], dict) else {}
        return Reading(
            title=f"{one.task}, row {row.doc_id}",
            verdicts=[f"{self._runs[place].name}: {_verdict(row)}" for place, row in one.rows.items()],
            start=_start(doc, prompt),
            prompt=self._text("prompt", prompt),
            texts=list(self._texts(one, sample, responses)),
            place=f"{row.file.name}, doc_id {row.doc_id}",
            unsafe=is_unsafe(one.task, *self._names.get(one.task, ()), doc=doc),
        )

    def _text(self, label: str, text: str, notes: Sequence[str] = (), kind: str = "") -> Text:
        return Text(label, notes, *cut(text, self.length), kind)

    def _texts(self, one: Answered, sample: Mapping[str, Any], responses: Sequence[str]) -> Iterator[Text]:
        note = _first(one).note
        if len(note.get("rewards", ())) == len(responses) and "preferred" in note:
            for place, response in enumerate(responses):
                chosen = place in note["preferred"]
                rewards = self._notes(one, lambda row, place=place: f"reward {number(row.note['rewards'][place])}")
                yield self._text("chosen" if chosen else "rejected", response, rewards, "good" if chosen else "bad")
        elif "label" in note and "scores" in note:
            for place, (before, text) in enumerate(pairwise(["", *responses])):
                step = "first wrong step" if place == note["label"] else "step"
                scores = self._notes(one, lambda row, place=place: f"score {number(row.note['scores'][place])}")
                yield self._text(f"{step} {place + 1}", text.removeprefix(before).strip("\n"), scores, "step")
        elif "verdicts" in note:
            for place in range(len(note["verdicts"])):
                for run, row in one.rows.items():
                    replies = row.texts()[1]
                    name = f"{self._runs[run].name}, {'responses swapped' if place else 'responses in order'}"
                    yield self._text(
                        f"reply of {name}", replies[place] if place < len(replies) else "", [_letter(row, place)]
                    )
        else:
            said = {run: list(row.texts()[1]) for run, row in one.rows.items()}
            alike = all(texts == responses for texts in said.values())
            for run, texts in [*said.items()][: 1 if alike else None]:
                of = "" if alike else f" of {self._runs[run].name}"
                for place, response in enumerate(texts, start=1):
                    yield self._text(f"response {place}{of}", response)
            yield self._text("expected", str(sample.get("target", "")))

    def _notes(self, one: Answered, note: Any) -> list[str]:
        return [f"{self._runs[place].name}: {note(row)}" for place, row in one.rows.items()]


_BY_MARGIN = "Worst margins first: the mean over models of a margin divided by the median of the model's margins without their signs."
_AS_THEY_ARE = "Texts are data, shown as they are; control characters as ⟨U+0000⟩."


def _start(doc: Mapping[str, Any], prompt: str) -> str:
    """The first words of the question: of the row's own where the prompt has more around it, as a judge's does."""
    own = doc.get("prompt")
    if isinstance(own, str) and own in prompt:
        prompt = own
    return prompt.removeprefix("User: ").strip().removesuffix("Assistant:")[:140]


def _first(one: Answered) -> Row:
    return next(iter(one.rows.values()))


def _verdict(row: Row) -> str:
    right = {True: "right", False: "wrong", None: "no verdict"}[row.right]
    if "margin" in row.note:
        return f"{right}, margin {signed(number(row.note['margin']))}"
    if "prediction" in row.note:
        step = row.note["prediction"]
        return f"{right}, finds {f'step {step + 1} wrong' if step >= 0 else 'no wrong step'}"
    return right


def _letter(row: Row, place: int) -> str:
    verdict = row.note["verdicts"][place] if place < len(row.note["verdicts"]) else None
    right = row.note.get("right")
    told = "no verdict that can be read" if verdict is None else f"verdict {verdict}"
    return f"{told}, {'right' if isinstance(right, list) and right[place] else 'wrong'}"
