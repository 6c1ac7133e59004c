"""The scores for a model card: the model index that the hub reads, and tables."""

import hashlib
import re
from collections.abc import Sequence

from huggingface_hub import EvalResult, ModelCardData

from skywork_rb_plugin.commands.report.blocks import Table
from skywork_rb_plugin.commands.report.scores import scores_part
from skywork_rb_plugin.report.lines import Line, lines_of
from skywork_rb_plugin.report.results import Run
from skywork_rb_plugin.report.texts import in_a_line
from skywork_rb_plugin.tasks.data import FORMATS
from skywork_rb_plugin.tasks.hub_files import hub_file

# in every file, with a hash of the rest, so that the command knows what it may write over: others add words of their own
_MARK = "<!-- made by skywork-rb-plugin report, {} -->"
_MARKED = re.compile(_MARK.format("([0-9a-f]{16})"))


def markdown(runs: Sequence[Run]) -> str:
    """A model card's front matter with the first run's scores, and tables of all runs' scores."""
    part = scores_part(runs)
    blocks = [f"---\n{_index(runs[0])}\n---", _MARK]
    for benchmark in part.parts if part else ():
        blocks.append(f"## {_escaped(benchmark.title)}")
        blocks += [_escaped(words) for words in benchmark.words]
        # the last one with the benchmark's lines has all of them
        tables = [table for table in benchmark.tables if not table.words]
        blocks += [_table(tables[-1])]
    if part:
        blocks.append(
            "Shares are in percent; ± is the standard error. Computed with skywork-rb-plugin for lm-evaluation-harness."
        )
    text = "\n\n".join(blocks) + "\n"
    return text.replace(_MARK, _MARK.format(_hash(text)), 1)


def is_ours(text: str) -> bool:
    """Whether it is as `markdown` made it, of whatever runs."""
    found = _MARKED.search(text)
    return found is not None and found[1] == _hash(text.replace(found[0], _MARK, 1))


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "replace")).hexdigest()[:16]


def _index(run: Run) -> str:
    """The hub's metadata: benchmarks and their sections, values as in the results file."""
    results = [_result(run, line) for line in lines_of(run) if line.depth <= 1 and line.value is not None]
    data = ModelCardData(model_name=in_a_line(run.name), eval_results=results) if results else ModelCardData()
    return data.to_yaml().strip() or "{}"


def _result(run: Run, line: Line) -> EvalResult:
    config = _config(run, line)
    titles = [in_a_line(title) for title in (*_titles(run, line), line.title)]
    named = [
        line.metric,
        *([line.filter] if line.filter != "none" else []),
        *(["part of the rows"] if _is_part(run, line) else []),
    ]
    return EvalResult(
        task_type="text-classification",
        task_name="Preference evaluation",
        dataset_type=in_a_line(str(config["dataset_path"] or line.name)),
        dataset_name=titles[0],
        dataset_config=config["dataset_name"],
        dataset_split=config["test_split"],
        dataset_revision=config["revision"],
        metric_type=line.metric,
        # sections are told apart here: the hub joins scores of one data set
        metric_name=f"{' / '.join(titles)}: {', '.join(named)}",
        metric_value=line.value,
    )


def _config(run: Run, line: Line) -> dict[str, str | None]:
    """Where the line's rows come from, as far as its tasks agree; a file on the hub is told by its repository."""
    found = []
    for task in line.tasks:
        config = run.data["configs"].get(task, {})
        kwargs = config.get("dataset_kwargs") or {}
        path, revision = config.get("dataset_path"), kwargs.get("revision")
        if path in FORMATS.values():
            file = hub_file(kwargs.get("data_files"))
            path, revision = (file.repo, file.revision) if file else (None, None)
        split = config.get("test_split")
        found.append(
            {
                "dataset_path": path,
                "dataset_name": config.get("dataset_name"),
                "test_split": split,
                "revision": revision,
            }
        )
    alike = {name: {one[name] for one in found} for name in found[0]}
    return {name: values.pop() if len(values) == 1 else None for name, values in alike.items()}


def _is_part(run: Run, line: Line) -> bool:
    counts = run.data.get("n-samples") or {}
    sizes = [counts.get(task) or {} for task in line.tasks]
    return any((size.get("effective") or 0) < (size.get("original") or 0) for size in sizes)


def _titles(run: Run, line: Line) -> list[str]:
    titles = {one.name: one.title for one in lines_of(run)}
    return [titles.get(name, name) for name in line.path]


def _table(table: Table) -> str:
    head = ["score", *table.head[1:]]
    marks = ["---", *("---:" for _ in table.head[1:])]
    rows = [
        [f"{'&emsp;' * table.depths[place]}{_escaped(row[0])}", *map(_escaped, row[1:])]
        for place, row in enumerate(table.rows)
    ]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in [list(map(_escaped, head)), marks, *rows])


def _escaped(text: str) -> str:
    """Text that Markdown shows as it is, and makes no link of."""
    return re.sub(r"([\\`*_{}\[\]<>()#+!|~&$:@]|(?<=www)\.)", r"\\\1", in_a_line(text))
