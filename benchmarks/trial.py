"""Runs the parts of a trial one after the other within a time limit, and keeps and prints what each found."""

import faulthandler
import gc
import json
import time
import traceback
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import torch
from token_ids import TokenIds

# seconds after the limit when a trial that hangs in one step is ended from outside
_GRACE = 30
_TRACEBACK = "traceback"  # for the file alone


@dataclass(frozen=True)
class Stage:
    """One part of a trial.

    Attributes:
        name: what `--only` knows it by.
        work: does its steps.
        least: seconds that must be left for it to begin.
        most: seconds after which it begins no further step.
        tokenizers: of which families it reads token ids.
    """

    name: str
    work: Callable[["Trial"], None]
    least: float = 0
    most: float = float("inf")
    tokenizers: tuple[str, ...] = ()


class Trial:
    """What the stages of a trial share.

    Args:
        device: where models run.
        tiny: whether everything is made small, to try the trial out.
        ids: folder of token ids, one file for each family of tokenizers.
        out: the JSON file to write after every step.
        limit: seconds for all stages together.

    Attributes:
        results: stage -> `state`, `seconds` and `steps`: step -> what it found, `skipped`, or `failed` or `wrong` and why.
        ceiling: the most floating-point operations per second, once a stage has measured it.
    """

    def __init__(self, device: torch.device, tiny: bool, ids: Path, out: Path, limit: float) -> None:
        self.device, self.tiny = device, tiny
        self.results: dict[str, dict] = {}
        self.ceiling: float | None = None
        self._ids, self._out = ids, out
        self._loaded: dict[str, TokenIds] = {}
        self._start, self._limit = time.monotonic(), limit
        self._stage, self._until = "", limit

    @property
    def failed(self) -> bool:
        """Whether any step failed or found something wrong."""
        return any(result["state"] == "failed" for result in self.results.values())

    def ids(self, family: str) -> TokenIds:
        """The token ids of a family's tokenizer; of a few short rows if `tiny`."""
        if family not in self._loaded:
            ids = TokenIds.load(self._ids / f"{family}.npz")
            self._loaded[family] = ids.first(30, 160) if self.tiny else ids
        return self._loaded[family]

    def left(self) -> float:
        """Seconds until the current stage must begin no further step."""
        return self._until - self._elapsed()

    def run(self, stages: Iterable[Stage]) -> None:
        """Do the stages for which there is time; one that fails does not keep the others from being done."""
        faulthandler.dump_traceback_later(self._limit + _GRACE, exit=True)
        for stage in stages:
            start = self._elapsed()
            self._stage, self._until = stage.name, min(self._limit, start + stage.most)
            result = self.results[stage.name] = {"state": "running", "seconds": 0.0, "steps": {}}
            if self._limit - start < stage.least:
                result["state"] = "skipped"
                self._say(f"{stage.name}: skipped, needs {stage.least:.0f} s, {self._limit - start:.0f} are left")
            else:
                self.step("stage", partial(stage.work, self))
                bad = any({"failed", "wrong"} & step.keys() for step in result["steps"].values())
                result.update(state="failed" if bad else "done", seconds=round(self._elapsed() - start, 1))
            torch._dynamo.reset()  # what was compiled for the models of a stage is of no use to others
            self._free()
            self._write()
        faulthandler.cancel_dump_traceback_later()

    def step(self, name: str, work: Callable[[], dict | None], seconds: float = 0) -> None:
        """Do one step of the current stage, unless less than `seconds` are left to it; what fails is noted."""
        if self.left() < seconds:
            found = {"skipped": f"needs {seconds:.0f} s, {self.left():.0f} are left to the stage"}
        else:
            try:
                found = work()
            except Exception as error:  # compilers, kernels and memory raise all kinds
                lines = traceback.format_tb(error.__traceback__)[-4:]
                found = {"failed": f"{type(error).__name__}: {str(error)[:600]}", _TRACEBACK: lines}
        if found:
            self.results[self._stage]["steps"][name] = found
            self._say(f"{self._stage}, {name}: {in_words(found)}")
            self._write()
        self._free()

    def _free(self) -> None:
        gc.collect()
        if self.device.type == "cuda":
            torch.cuda.empty_cache()

    def _elapsed(self) -> float:
        return time.monotonic() - self._start

    def _say(self, line: str) -> None:
        print(f"[{self._elapsed():6.1f} s] {line}", flush=True)

    def _write(self) -> None:
        self._out.write_text(json.dumps(self.results, indent=1))


def in_words(found: dict) -> str:
    """What a step found, on one line."""
    return ", ".join(
        f"{name} {value:.4g}" if isinstance(value, float) else f"{name} {value}"
        for name, value in found.items()
        if name != _TRACEBACK
    )
