"""Runs of the real command that are there to be killed: the command line and its folder, its processes, a server for it."""

import argparse
import contextlib
import json
import os
import re
import signal
import socket
import sqlite3
import subprocess
import sys
import time
import urllib.request
from dataclasses import dataclass
from pathlib import Path

import psutil

from skywork_rb_plugin.discovery import task_folder
from skywork_rb_plugin.models.reading import place_of

YAML = """\
task: killed
class: !function skywork_rb_plugin.PreferenceTask
dataset_path: json
dataset_kwargs: {data_files: rows.jsonl}
test_split: train
metric_list: [acc, margin, ties]
"""
# what vLLM needs on a CPU with few cores
VLLM = {
    "VLLM_CPU_OMP_THREADS_BIND": "nobind",
    "VLLM_CPU_NUM_OF_RESERVED_CPU": "0",
    "VLLM_CPU_KVCACHE_SPACE": "1",
    "VLLM_NO_USAGE_STATS": "1",
}
# seconds for processes to notice that theirs is gone, and until a run that lost something must have ended
_LINGER, PATIENCE = 15, 600


@dataclass
class Run:
    """One process, or several ranks, in a folder of its own.

    Attributes:
        log: the file that its output goes to.
        start: when, in seconds of `time.monotonic`.
    """

    process: subprocess.Popen
    log: Path
    start: float

    def scored(self) -> int:
        """Conversations that the bar has counted, on the first rank; 0 before the first."""
        counts = re.findall(r"(\d+)/\d+ conversations,", self.log.read_text(errors="replace"))
        return int(counts[-1]) if counts else 0

    def wait_for_scores(self, count: float = 1) -> None:
        """Until there are so many scores, on the first rank, or the run is over."""
        while self.scored() < count and self.process.poll() is None:
            time.sleep(0.05)

    def children(self) -> list[psutil.Process]:
        """The processes that it has started, and those that these have."""
        return psutil.Process(self.process.pid).children(recursive=True)

    def strike(self, sent: signal.Signals, whom: str, server: "Server | None") -> str:
        """Send a signal to `all` processes, to the `run` alone, to its `server`, or to the children of that title; whom it
        reached: the run where there is none such."""
        own = psutil.Process(self.process.pid)
        titled = [child for child in self.children() if whom in " ".join(child.cmdline()[:1])]
        # torchrun's processes are groups of their own, and outlive it where it can't end them
        reached = {"all": [own, *self.children()], "run": [own], "server": [server and server.process]}.get(
            whom, titled
        )
        for process in (reached or [own])[: None if whom == "all" else 1]:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.send_signal(sent)
        return whom if reached else "run"

    def line_with(self, words: str) -> str:
        """The first line of the log with these; empty where there is none."""
        return next((line for line in self.log.read_text(errors="replace").splitlines() if words in line), "")

    def last_line(self) -> str:
        """The plugin's own, which a run that failed ends with; else the log's."""
        lines = [line for line in self.log.read_text(errors="replace").splitlines() if line.strip()]
        return next((line for line in reversed(lines) if line.startswith("skywork-rb-plugin:")), lines[-1])


def still_there(processes: list[psutil.Process]) -> list[psutil.Process]:
    """Those that run on after some seconds."""
    return psutil.wait_procs(processes, timeout=_LINGER)[1]


class Server:
    """vLLM's own server for one model, on loopback."""

    def __init__(self, model: str, folder: Path) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self._model, self._log = model, folder / "server.log"
        self.start()

    def start(self) -> None:
        """Begin, and wait until it answers."""
        command = [
            sys.executable, "-m", "vllm.entrypoints.openai.api_server", "--model", self._model, "--served-model-name",
            "killed", "--runner", "pooling", "--host", "127.0.0.1", "--port", str(self.port), "--dtype", "float32",
            "--enforce-eager",
        ]  # fmt: skip
        with self._log.open("w") as file:
            self.process = psutil.Popen(command, stdout=file, stderr=file, env={**os.environ, **VLLM})
        for _ in range(PATIENCE):
            with contextlib.suppress(OSError):
                urllib.request.urlopen(f"http://127.0.0.1:{self.port}/health")
                return
            time.sleep(1)
        self.end()
        raise RuntimeError(f"the server does not answer: {self._log.read_text()[-2000:]}")

    def revive(self) -> None:
        """Go on where it was stopped, begin anew where it was killed."""
        if self.process.is_running() and self.process.status() == psutil.STATUS_STOPPED:
            self.process.send_signal(signal.SIGCONT)
        elif self.process.poll() is not None:
            self.start()

    def end(self) -> None:
        """Kill it with its engine."""
        for process in [*self.process.children(recursive=True), self.process]:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()
        self.process.wait()


class Command:
    """The command line, and the folder that it runs in."""

    def __init__(self, arguments: argparse.Namespace, folder: Path) -> None:
        """Write the rows and the YAML."""
        self.folder, self._runs = folder, 0
        self._engine, self._options = arguments.engine, [arguments.options] if arguments.options else []
        model = place_of(arguments.model)
        self.server = Server(model, folder) if self._engine == "api-reward" else None
        if self.server:
            self._options += [f"base_url=http://127.0.0.1:{self.server.port}", f"tokenizer={model}"]
        else:
            self._options.append(f"pretrained={model}")
        if self._engine == "hf-reward":
            self._options.append(f"tokens_per_pack={arguments.tokens_per_pack}")
        file = task_folder() / "preference_demo" / "pairs.jsonl"
        pairs = [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]
        rows = [{**pair, "prompt": f"{copy} {pair['prompt']}"} for copy in range(arguments.copies) for pair in pairs]
        (folder / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
        (folder / "killed.yaml").write_text(YAML)
        self.requests = 2 * len(rows)

    def start(self, cache: str, output: str, ranks: int) -> Run:
        """Begin a run with this cache."""
        launch = ["-m", "torch.distributed.run", "--nproc_per_node", str(ranks)] if ranks > 1 else []
        command = [
            sys.executable, *launch, "-m", "lm_eval", "run", "--model", self._engine, "--model_args", ",".join(self._options),
            "--device", "cpu", "--include_path", ".", "--tasks", "killed", "--use_cache", cache, "--output_path", output,
            "--log_samples",
        ]  # fmt: skip
        # the bar says what is scored after every pack
        environment = {
            **os.environ, "TQDM_MININTERVAL": "0", "OMP_NUM_THREADS": "1", "ACCELERATE_USE_CPU": "true", **VLLM,
        }  # fmt: skip
        self._runs += 1
        log = self.folder / f"run_{self._runs}.log"
        with log.open("w") as file:
            process = subprocess.Popen(
                command, stdout=file, stderr=file, cwd=self.folder, env=environment, start_new_session=True
            )
        return Run(process, log, time.monotonic())

    def cached(self, cache: str, rank: int = 0) -> int:
        """Answers in a rank's cache, without our two entries; 0 while there is none."""
        path = self.folder / f"{cache}_rank{rank}.db"
        if not path.is_file():
            return 0
        # writable: what a kill left half written is rolled back
        connection = sqlite3.connect(path)
        try:
            query = "select count(*) from unnamed where key not like 'skywork_rb_plugin:%'"
            return connection.execute(query).fetchone()[0]
        except sqlite3.OperationalError:
            return 0
        finally:
            connection.close()

    def outcome(self, output: str) -> tuple[dict, dict[int, list[float]]]:
        """The table's row, and the scores of every row of data."""
        # the newest: a run may be killed between its last file and its end
        *_, results = sorted((self.folder / output).rglob("results_*.json"))
        *_, samples = sorted((self.folder / output).rglob("samples_*.jsonl"))
        lines = [json.loads(line) for line in samples.read_text(encoding="utf-8").splitlines()]
        scores = {line["doc_id"]: line["doc"]["skywork_rb"]["rewards"] for line in lines}
        return json.loads(results.read_text())["results"]["killed"], scores
