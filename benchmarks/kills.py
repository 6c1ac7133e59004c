"""Runs that are killed and started again: what is lost, and whether the end is that of an undisturbed run; prints tables.

    python benchmarks/kills.py                                    # the demo model, killed 20 times
    python benchmarks/kills.py --ranks 2 --kills 6                # two processes on a CPU, by torchrun
    python benchmarks/kills.py --model FOLDER --kills 6

The real command with --use_cache on a file of pairs. Each run is killed at a random moment after its first score, every
fifth at one before it, and the next goes on with the same cache; a run that comes to its end is compared with the
undisturbed one, and the next begins anew. SIGKILL goes to all processes, as where a machine is lost, SIGTERM and SIGINT to
the one that was started, as from `kill` and a terminal's Ctrl-C.
"""

import argparse
import contextlib
import json
import os
import random
import re
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import psutil

from skywork_rb_plugin.discovery import task_folder

YAML = """\
task: killed
class: !function skywork_rb_plugin.PreferenceTask
dataset_path: json
dataset_kwargs: {data_files: rows.jsonl}
test_split: train
metric_list: [acc, margin, ties]
"""
SIGNALS = (signal.SIGKILL, signal.SIGTERM, signal.SIGINT)


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

    def wait_for_scores(self) -> None:
        """Until there is a score, or the run is over."""
        while not self.scored() and self.process.poll() is None:
            time.sleep(0.05)

    def end_by(self, signal_: signal.Signals) -> int:
        """Send the signal and wait; the exit status."""
        # torchrun's processes are groups of their own, and outlive it where it can't end them
        ranks = psutil.Process(self.process.pid).children(recursive=True) if signal_ == signal.SIGKILL else []
        for process in [self.process, *ranks]:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.send_signal(signal_)
        return self.process.wait(60)


class Command:
    """The command line, and the folder that it runs in."""

    def __init__(self, arguments: argparse.Namespace, folder: Path) -> None:
        """Write the rows and the YAML."""
        self.arguments, self.folder, self._runs = arguments, folder, 0
        file = task_folder() / "preference_demo" / "pairs.jsonl"
        pairs = [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]
        rows = [{**pair, "prompt": f"{copy} {pair['prompt']}"} for copy in range(arguments.copies) for pair in pairs]
        (folder / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
        (folder / "killed.yaml").write_text(YAML)
        self.requests = 2 * len(rows)

    def start(self, cache: str, output: str, ranks: int) -> Run:
        """Begin a run with this cache."""
        launch = ["-m", "torch.distributed.run", "--nproc_per_node", str(ranks)] if ranks > 1 else []
        options = f"pretrained={self.arguments.model},tokens_per_pack={self.arguments.tokens_per_pack}"
        command = [
            sys.executable, *launch, "-m", "lm_eval", "run", "--model", "hf-reward", "--model_args", options, "--device", "cpu",
            "--include_path", ".", "--tasks", "killed", "--use_cache", cache, "--output_path", output, "--log_samples",
        ]  # fmt: skip
        # the bar says what is scored after every pack
        environment = {**os.environ, "TQDM_MININTERVAL": "0", "OMP_NUM_THREADS": "1", "ACCELERATE_USE_CPU": "true"}
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


def compared(one: tuple[dict, dict], other: tuple[dict, dict]) -> str:
    """Two outcomes as cells of a table: the largest difference of a score, verdicts that differ, whether the table's row does."""
    (row, scores), (other_row, other_scores) = one, other
    assert scores.keys() == other_scores.keys(), "rows of data are missing"
    difference = max(abs(a - b) for i in scores for a, b in zip(scores[i], other_scores[i], strict=True))
    differing = sum((scores[i][0] > scores[i][1]) != (other_scores[i][0] > other_scores[i][1]) for i in scores)
    shown = [
        {key: f"{value:.4f}" for key, value in each.items() if isinstance(value, float)} for each in (row, other_row)
    ]
    return f"{difference:.1e} | {differing} of {len(scores)} | {'equal' if shown[0] == shown[1] else 'DIFFERENT'}"


def finished(run: Run) -> float:
    """Wait for a run that nobody kills; the seconds from its first score to its end."""
    run.wait_for_scores()
    first = time.monotonic()
    if run.process.wait(600):
        raise RuntimeError(f"the run failed: {run.log.read_text(errors='replace')[-2000:]}")
    return time.monotonic() - first


def main() -> None:
    """Parse the command line, run, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="demo")
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--ranks", type=int, default=1)
    parser.add_argument(
        "--copies", type=int, default=30, help="of the packaged pairs, each with another number in front"
    )
    parser.add_argument("--tokens-per-pack", type=int, default=512)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    pick, ranks = random.Random(arguments.seed), arguments.ranks
    # a shell's background jobs ignore Ctrl-C, and so would the runs
    signal.signal(signal.SIGINT, signal.default_int_handler)

    with tempfile.TemporaryDirectory() as name:
        command = Command(arguments, Path(name))
        finished(command.start("one", "one", ranks=1))
        undisturbed = command.outcome("one")
        run = command.start("several", "several", ranks)
        seconds = finished(run)
        loading = time.monotonic() - run.start - seconds
        ends = [("not killed", ranks, compared(undisturbed, command.outcome("several")))]
        kills, chain, killed = [], 0, 0

        def at_its_end() -> None:
            ends.append((f"killed {killed} times", ranks, compared(undisturbed, command.outcome(f"chain_{chain}"))))

        while len(kills) < arguments.kills:
            cache = f"chain_{chain}"
            before = [command.cached(cache, rank) for rank in range(ranks)]
            run = command.start(cache, cache, ranks)
            early, part = len(kills) % 5 == 4, pick.random()
            if not early:
                run.wait_for_scores()
            try:
                run.process.wait(part * (loading if early else 2 * seconds / min(arguments.kills, 8)))
            except subprocess.TimeoutExpired:
                pass
            else:
                at_its_end()
                chain, killed = chain + 1, 0
                continue
            sent = SIGNALS[len(kills) % 3]
            passed, status = time.monotonic() - run.start, run.end_by(sent)
            after = [command.cached(cache, rank) for rank in range(ranks)]
            kills.append(
                (len(kills) + 1, sent.name, passed, run.scored(), sum(before), sum(after), after[0] - before[0], status)
            )
            killed += 1
        if killed:
            finished(command.start(cache, cache, ranks))
            at_its_end()
        requests = command.requests

    print(
        f"\n{requests} conversations, {ranks} process{'es' * (ranks > 1)}, {seconds:.0f} s from the first score on.\n"
    )
    print("| kill | signal | after, s | answers before | answers after | scored, by the bar | lost | exit |")
    print("|---:|---|---:|---:|---:|---:|---:|---:|")
    for number, sent, passed, scored, before, after, new, status in kills:
        print(
            f"| {number} | {sent} | {passed:.1f} | {before} | {after} | {scored} | {max(0, scored - new)} | {status} |"
        )
    print(
        "\n| run | processes | largest difference of a score | verdicts that differ | table |\n|---|---:|---:|---:|---|"
    )
    for line in ends:
        print("| " + " | ".join(map(str, line)) + " |")


if __name__ == "__main__":
    main()
