"""What a sweep keeps in a checkpoint's folder: what was asked, and the results file once there is one."""

import json
from collections.abc import Mapping
from pathlib import Path

from skywork_rb_plugin.errors import UserError

_NAME = "sweep.json"


class Record:
    """A checkpoint's folder.

    Attributes:
        folder: of the checkpoint.
        asked: what made the results there, name -> value; None: nothing was run there yet.
        results: the results file of a run that came to its end; None: there is none.
    """

    def __init__(self, folder: Path):
        """Read it.

        Raises:
            UserError: the folder has something else in it.
        """
        self.folder, self._file = folder, folder / _NAME
        self.asked: Mapping | None = None
        self.results: Path | None = None
        if not self._file.is_file():
            if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
                raise UserError(f"found {folder}, which `sweep` did not make; expected another --output_path")
            return
        try:
            kept = json.loads(self._file.read_text(encoding="utf-8"))
            self.asked, results = kept["asked"], kept["results"]
        except (OSError, ValueError, KeyError, TypeError):
            return  # cut short by a full disk or a kill: as if nothing was run
        if results and (folder / results).is_file():
            self.results = folder / results

    @property
    def log(self) -> Path:
        """What the run prints."""
        return self.folder / "log.txt"

    def begin(self, asked: Mapping) -> None:
        """Claim the folder for a run; results of an earlier one count no more, but stay until the run has its own."""
        self.folder.mkdir(parents=True, exist_ok=True)
        self._older = self._written()
        self.asked, self.results = asked, None
        self._keep()

    def end(self) -> bool:
        """Note the results file that the run has written, and remove an earlier run's files; False: it wrote none."""
        made = [file for file in self._written() - self._older if file.name.startswith("results_")]
        if not made:
            return False
        self.results = max(made)
        self._keep()
        for file in self._older:
            file.unlink()
        return True

    def _written(self) -> set[Path]:
        """Results files and sample logs, where the host puts them."""
        return {*self.folder.glob("*/results_*.json"), *self.folder.glob("*/samples_*.jsonl")}

    def _keep(self) -> None:
        results = str(self.results.relative_to(self.folder)) if self.results else None
        self._file.write_text(json.dumps({"asked": self.asked, "results": results}, indent=2), encoding="utf-8")


def last_line(log: Path) -> str:
    """What a failed run said: its own one line, else the last one."""
    lines = [line.strip() for line in log.read_text(encoding="utf-8", errors="replace").splitlines() if line.strip()]
    told = [line for line in lines if line.startswith("skywork-rb-plugin: ")]
    return (told or lines or ["it said nothing"])[-1].removeprefix("skywork-rb-plugin: ")
