"""Results files and sample logs as lm-eval writes them: which runs lie in a folder, and what each says."""

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from skywork_rb_plugin.errors import UserError
from skywork_rb_plugin.report.rows import Row, read_rows

# how the names of a run's files end (lm_eval/loggers/evaluation_tracker.py, save_results_aggregated)
_DATED = re.compile(r"_(\d{4}-\d\d-\d\dT\d\d-\d\d-\d\d(?:\.\d+)?)\.json")


@dataclass(frozen=True)
class Run:
    """One run: a results file, and the sample logs beside it.

    Attributes:
        name: what it is called here, another for each run.
        path: the results file.
        data: its content.
    """

    name: str
    path: Path
    data: Mapping

    @property
    def model(self) -> str:
        """The model's name as it was given to the harness."""
        return str(self.data.get("model_name") or self.data["config"].get("model") or self.path.parent.name)

    @property
    def revision(self) -> str | None:
        """The model's revision: of the loaded checkpoint, else as it was asked for; None where the file has none."""
        config = self.data["config"]
        given = config.get("model_args")
        found = config.get("model_revision") or (given.get("revision") if isinstance(given, Mapping) else None)
        return None if found is None else str(found)

    @property
    def date(self) -> str:
        """When it was made, as in the names of its files."""
        return _DATED.search(self.path.name)[1]

    @cached_property
    def tasks(self) -> list[str]:
        """Names of the tasks, without groups, as the results file has them."""
        return [name for name in self.data["results"] if name in self.data["configs"]]

    def log(self, task: str) -> Path:
        """Where the sample log of a task lies, or would lie."""
        return self.path.with_name(f"samples_{task}_{self.date}.jsonl")

    @property
    def has_logs(self) -> bool:
        """Whether every task has its sample log."""
        return all(self.log(task).is_file() for task in self.tasks)

    def rows(self, task: str) -> Mapping[str, Row]:
        """A task's rows by their keys, in the data's order; the log is read once.

        Raises:
            UserError: there is no log, or it is broken.
        """
        if task not in self._rows:
            if not self.log(task).is_file():
                raise UserError(
                    f"found no {self.log(task).name} beside {self.path}, expected the sample log of {task}: "
                    "run it again with --log_samples"
                )
            self._rows[task] = read_rows(self.log(task))
        return self._rows[task]

    @cached_property
    def _rows(self) -> dict[str, Mapping[str, Row]]:
        return {}


def read_runs(paths: Iterable[str | Path]) -> list[Run]:
    """The runs that lie in folders and files, in the order of `paths`, then of their dates.

    Args:
        paths: results files, or folders that have some anywhere below.

    Raises:
        UserError: a path does not exist, has no results file, or one that lm-eval did not write.
    """
    files: dict[Path, Path] = {}
    for path in paths:
        for file in _files(Path(path)):
            files.setdefault(file.resolve(), file)  # one file is one run, whatever it is called
    found = list(files.values())
    contents = [(file, _read(file)) for file in found]
    names = _names([Run("", file, data) for file, data in contents])
    return [Run(name, file, data) for name, (file, data) in zip(names, contents, strict=True)]


def _files(path: Path) -> Iterator[Path]:
    if path.is_dir():
        files = [file for file in path.rglob("*.json") if _DATED.search(file.name)]
        if not files:
            raise UserError(
                f"found no results file below {path}, expected results_DATE.json as `--output_path {path}` writes it"
            )
        yield from sorted(files, key=lambda file: (_DATED.search(file.name)[1], file))
    elif not path.is_file():
        raise UserError(f"found no file or folder {path}, expected what a run with --output_path wrote")
    elif not _DATED.search(path.name):
        raise UserError(f"found {path}, expected a results file, whose name ends in the run's date: results_DATE.json")
    else:
        yield path


def _read(file: Path) -> Mapping:
    try:
        data = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, json.JSONDecodeError, RecursionError) as error:
        raise UserError(f"can't read {file}: {error}") from None
    if not isinstance(data, dict) or not all(
        isinstance(data.get(key), dict) for key in ("results", "configs", "config")
    ):
        raise UserError(f"found no `results`, `configs` and `config` in {file}, expected a results file of lm-eval")
    for key in ("results", "configs"):
        for name, entry in data[key].items():
            if not isinstance(entry, dict):
                raise UserError(
                    f"found {entry!r:.40} for {name} in `{key}` of {file}, expected a results file of lm-eval"
                )
    return data


def _names(runs: list[Run]) -> list[str]:
    """The shortest names that tell the runs apart: the model's, then with its revision, then with the date."""
    models = [run.model.rstrip("/") for run in runs]
    short = _endings(models)
    known = dict(zip(models, short, strict=True))
    revisions: dict[str, set[str | None]] = {}
    for model, run in zip(models, runs, strict=True):
        revisions.setdefault(model, set()).add(run.revision)
    revised = [
        f"{known[model]}@{run.revision or 'main'}" if len(revisions[model]) > 1 else known[model]
        for model, run in zip(models, runs, strict=True)
    ]
    # to the minute, else to the second
    dated, timed = (
        [f"{name} {run.date[:length]}" for name, run in zip(revised, runs, strict=True)] for length in (16, 19)
    )
    for names in (short, revised, dated, timed):
        if len(set(names)) == len(runs):
            return names
    return [f"{name} {run.date}" for name, run in zip(revised, runs, strict=True)]


def _endings(models: list[str]) -> list[str]:
    """The last part of each name, or as many as tell different models apart: folders of checkpoints have long names."""
    parts = [model.split("/") for model in models]
    for depth in range(1, max(map(len, parts))):
        names = ["/".join(part[-depth:]) for part in parts]
        if len(set(names)) == len(set(models)):
            return names
    return models
