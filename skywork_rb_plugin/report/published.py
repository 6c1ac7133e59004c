"""Published scores beside a run's own, and where it would stand among them: from models/known_models.yaml, none measured here."""

from collections.abc import Mapping
from dataclasses import dataclass

from skywork_rb_plugin.models.known_models import Published, find, known_models
from skywork_rb_plugin.report.lines import Line, headline
from skywork_rb_plugin.report.results import Run
from skywork_rb_plugin.tasks.full_scores import section_name


@dataclass(frozen=True)
class Standing:
    """A model's published scores on a benchmark, in percent.

    Attributes:
        model: its name on the hub.
        score: of the whole benchmark; None where only sections were published.
        sections: by names as of `section_name`.
        source: where they were published, in words.
        settings: what they were published with, such as `max_length`.
    """

    model: str
    score: float | None
    sections: Mapping[str, float]
    source: str
    settings: Mapping[str, object]

    def of(self, line: Line, benchmark: str) -> float | None:
        """The published score of a line, None where there is none."""
        return self.score if line.name == benchmark else self.sections.get(section_name(benchmark, line.name))


def standings(benchmark: str) -> list[Standing]:
    """All models with published scores on a benchmark, the best first; those without a whole score last.

    Args:
        benchmark: name of its group.
    """
    found = [
        _standing(model.name, model.published[benchmark])
        for model in known_models().values()
        if benchmark in model.published
    ]
    return sorted(found, key=lambda one: (one.score is None, -(one.score or 0), one.model))


def own_standing(run: Run, benchmark: str) -> Standing | None:
    """What was published of the model that a run is of; None: nothing."""
    revision = run.data["config"].get("model_revision")
    model = find([run.model], revision if isinstance(revision, str) else None)
    return _standing(model.name, model.published[benchmark]) if model and benchmark in model.published else None


def is_full(run: Run, line: Line) -> bool:
    """Whether a score may stand beside published ones: the benchmark's own, of all rows that the published one has."""
    top = line.path[0] if line.path else line.name
    own = (line.metric, line.filter) in (headline(run, top), headline(run, line.name))
    return own and bool(line.shares) and all(_in_full(run, task) for task in line.shares)


def _in_full(run: Run, task: str) -> bool:
    official = run.data["configs"].get(task, {}).get("official_rows")
    return official is not None and run.data["results"].get(task, {}).get("sample_len") == official


def _standing(name: str, published: Published) -> Standing:
    return Standing(name, published.score, published.sections, str(published.source), published.settings)
