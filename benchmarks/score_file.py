"""`score` on a large file: what prefixes save, whether memory stays flat, and kills at random moments; prints tables.

    python benchmarks/score_file.py                               # the demo model, 100,000 conversations, 10 kills
    python benchmarks/score_file.py --model FOLDER --prompts 200 --kills 4

The file is made here: prompts of the packaged pairs, each with a number of its own in front, and 32 answers that branch off
from each other as samples of one model do. The real command scores it twice: once undisturbed, with its memory watched, and
once with SIGKILL at random moments, begun again with the same command each time. One by one means padded batches of one
conversation, of the first prompts alone.
"""

import argparse
import json
import os
import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import psutil

from skywork_rb_plugin import load
from skywork_rb_plugin.commands.score.journal import Journal
from skywork_rb_plugin.discovery import task_folder


def write_data(file: Path, prompts: int, responses: int, seed: int) -> list[dict]:
    """Write the rows; returns them."""
    pick = random.Random(seed)
    lines = (task_folder() / "preference_demo" / "pairs.jsonl").read_text(encoding="utf-8").splitlines()
    pairs = [json.loads(line) for line in lines]
    texts = [pair[which] for pair in pairs for which in ("chosen", "rejected")]

    def answer(beginnings: list[list[str]]) -> list[str]:
        """Some words of an earlier answer, then others: most branch off late, as likely words come first."""
        words = pick.choice(beginnings)
        kept = words[: int(len(words) * pick.random() ** 0.5)]
        return kept + " ".join(pick.choices(texts, k=2)).split()[: pick.randint(5, 40)]

    rows = []
    for i in range(prompts):
        found = [" ".join(pick.choices(texts, k=4)).split()[:60]]
        while len(found) < responses:
            found.append(answer(found))
        rows.append({"id": i, "prompt": f"{i} {pick.choice(pairs)['prompt']}", "responses": list(map(" ".join, found))})
    file.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return rows


class Command:
    """The command in a folder with the data."""

    def __init__(self, arguments: argparse.Namespace, folder: Path) -> None:
        self.folder = folder
        options = json.dumps({"pretrained": arguments.model, "tokens_per_pack": arguments.tokens_per_pack})
        self._words = [sys.executable, "-m", "skywork_rb_plugin", "score", "--data", "data.jsonl", "--device", "cpu"]
        self._words += ["--model_args", options]
        self._environment = {**os.environ, "OMP_NUM_THREADS": str(arguments.threads)}

    def start(self, name: str) -> subprocess.Popen:
        """Begin a run, or go on with it."""
        words = [*self._words, "-o", f"{name}.jsonl"]
        log = (self.folder / f"{name}.log").open("w")
        return subprocess.Popen(words, cwd=self.folder, env=self._environment, stdout=log, stderr=log)

    def record(self, name: str) -> Journal | None:
        """The record of a run, if there is one yet."""
        journal = Journal(self.folder / f"{name}.jsonl")
        return journal if journal.made_by else None

    def ended_well(self, process: subprocess.Popen, name: str) -> None:
        """Wait for a run that nobody kills."""
        if process.wait():
            raise RuntimeError((self.folder / f"{name}.log").read_text()[-2000:])


def watched(command: Command, conversations: int, parts: list[int]) -> tuple[dict[int, int], float]:
    """One run: the process's peak memory in bytes until so many percent of the conversations were scored, and its seconds."""
    process, start = command.start("whole"), time.monotonic()
    watch, peak, peaks = psutil.Process(process.pid), 0, {}
    while process.poll() is None:
        time.sleep(0.2)
        try:
            peak = max(peak, watch.memory_info().rss)
        except psutil.Error:
            break
        record = command.record("whole")
        for part in parts:
            if record and part not in peaks and record.state.counts.conversations_scored >= part / 100 * conversations:
                peaks[part] = peak
    command.ended_well(process, "whole")
    return {**peaks, 100: peak}, time.monotonic() - start


def killed(command: Command, kills: int, seconds: float, pick: random.Random) -> list[tuple[float, int, int, int]]:
    """For each kill: seconds after the start, rows that were written, conversations and tokens that were on record."""
    found = []
    while len(found) < kills:
        process = command.start("killed")
        try:
            process.wait(5 + pick.random() * 2 * seconds / kills)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        else:
            command.ended_well(process, "killed")
            break
        if record := command.record("killed"):
            counts = record.state.counts
            found.append((record.seconds(), record.state.rows, counts.conversations_scored, counts.tokens_forwarded))
    command.ended_well(command.start("killed"), "killed")
    return found


def main() -> None:
    """Parse the command line, run, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="demo")
    parser.add_argument("--prompts", type=int, default=3125)
    parser.add_argument("--responses", type=int, default=32)
    parser.add_argument("--alone", type=int, default=1600, help="conversations that are scored one by one")
    parser.add_argument("--kills", type=int, default=10)
    parser.add_argument("--tokens-per-pack", type=int, default=1024)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()

    with tempfile.TemporaryDirectory() as name:
        command = Command(arguments, Path(name))
        rows = write_data(command.folder / "data.jsonl", arguments.prompts, arguments.responses, arguments.seed)
        distinct = sum(len(set(row["responses"])) for row in rows)
        peaks, seconds = watched(command, distinct, [10, 50])
        state = command.record("whole").state
        kills = killed(command, arguments.kills, state.seconds, random.Random(arguments.seed))
        end = command.record("killed").state
        equal = (command.folder / "whole.jsonl").read_bytes() == (command.folder / "killed.jsonl").read_bytes()

    import torch

    torch.set_num_threads(arguments.threads)
    part = [(row["prompt"], response) for row in rows for response in row["responses"]][: arguments.alone]
    model = load(arguments.model, device="cpu", scoring="padded", batch_size=1)
    start = time.monotonic()
    model.score(part, progress=False)
    alone = (time.monotonic() - start) / len(part)

    counts, total = state.counts, arguments.prompts * arguments.responses
    print(f"\n{total:,} conversations of {arguments.prompts:,} prompts, {distinct:,} of them different.\n")
    print("| way | tokens forwarded | seconds | conversations/s |\n|---|---:|---:|---:|")
    print(f"| `score` | {counts.tokens_forwarded:,} | {state.seconds:,.0f} | {total / state.seconds:,.0f} |")
    print(f"| one by one, from {len(part):,} | {counts.tokens_asked:,} | {alone * total:,.0f} | {1 / alone:,.0f} |")
    print(f"\nWith loading and reading the data once before: {seconds:,.0f} s.\n")
    print("| conversations scored | peak memory of the process, MiB |\n|---:|---:|")
    for percent in sorted(peaks):
        print(f"| {percent} % | {peaks[percent] / 2**20:,.0f} |")
    print("\n| kill | seconds of scoring | rows written | conversations on record | tokens forwarded |")
    print("|---:|---:|---:|---:|---:|")
    for number, (passed, written, scored, tokens) in enumerate(kills, 1):
        print(f"| {number} | {passed:.1f} | {written:,} | {scored:,} | {tokens:,} |")
    print(
        f"\nAt the end {end.counts.conversations_scored:,} conversations and {end.counts.tokens_forwarded:,} tokens on record, "
        f"{counts.conversations_scored:,} and {counts.tokens_forwarded:,} undisturbed; the outputs are "
        f"{'equal byte for byte' if equal else 'DIFFERENT'}."
    )


if __name__ == "__main__":
    main()
