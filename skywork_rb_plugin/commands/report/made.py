"""The page's end: how the runs were made, so that a reader can make them again."""

from collections.abc import Sequence

from skywork_rb_plugin.commands.report.blocks import Part, Table, listed
from skywork_rb_plugin.report.command_line import command_line
from skywork_rb_plugin.report.results import Run
from skywork_rb_plugin.report.settings import differing, settings


def made_part(runs: Sequence[Run]) -> Part:
    """Commands, settings, data, and in what the runs differ."""
    words = (
        "Commands are put together from the results files, which do not tell --metadata, --samples and --include_path. An empty "
        "cell: the file does not tell."
    )
    commands = [(run.name, command_line(run)) for run in runs]
    tables = [_differing(runs)] if len(runs) > 1 else []
    return Part(
        "made", "How it was computed", (words,), [*tables, _settings(runs), *map(_data, runs)], commands=commands
    )


def _differing(runs: Sequence[Run]) -> Table:
    rows = []
    for one in differing(runs):
        of = f" of {listed(one.tasks, 3)}" if one.tasks else ""
        rows.append([f"{one.name}{of}", *one.values])
    caption = "What differs between the runs" if rows else "The runs differ in their models only"
    return Table(caption, ["setting", *(run.name for run in runs)], rows, words=True)


def _settings(runs: Sequence[Run]) -> Table:
    made = [{"date": run.date, "results file": run.path.name, **settings(run)} for run in runs]
    names = dict.fromkeys(name for one in made for name in one)
    rows = [[name, *(one.get(name, "") for one in made)] for name in names]
    return Table("Settings", ["setting", *(run.name for run in runs)], rows, words=True)


def _data(run: Run) -> Table:
    """Where a run's data came from, and how much of it was used."""
    rows = []
    for task in run.tasks:
        config = run.data["configs"][task]
        metadata = config.get("metadata") or {}
        size = (run.data.get("n-samples") or {}).get(task) or {}
        path = " ".join(str(config[key]) for key in ("dataset_path", "dataset_name") if config.get(key))
        split = config.get("test_split") or config.get("validation_split") or ""
        revision = (config.get("dataset_kwargs") or {}).get("revision") or ""
        used = f"{size.get('effective', '')} of {size.get('original', '')}" if size else ""
        version = str(run.data.get("versions", {}).get(task, ""))
        rows.append([task, version, path, split, revision, str(metadata.get("data_origin", "")), used])
    head = ["task", "version", "data set", "split", "revision", "read from", "rows used"]
    return Table(f"Data of {run.name}", head, rows, folded=f"data of {run.name}", words=True)
