"""Runs that are killed and started again: what is lost, and whether the end is that of an undisturbed run; prints tables.

    python benchmarks/kills.py                                    # the demo model, killed 20 times
    python benchmarks/kills.py --ranks 2 --kills 6                # two processes on a CPU, by torchrun
    python benchmarks/kills.py --model FOLDER --kills 6
    python benchmarks/kills.py --engine vllm-reward               # where vLLM is installed: its engine's processes too
    python benchmarks/kills.py --engine api-reward                # likewise: vLLM's own server too

The real command with --use_cache on a file of pairs. Each run is struck at a random moment after its first score, every
seventh at one before it, and the next goes on with the same cache; a run that comes to its end is compared with the
undisturbed one, and the next begins anew. For hf-reward SIGKILL goes to all processes, as where a machine is lost; else
signals go to one: the run that was started, as from `kill` and a terminal's Ctrl-C, a process of vLLM's engine, or the server.
"""

import argparse
import contextlib
import random
import signal
import subprocess
import tempfile
import time
from pathlib import Path

import psutil
from killed import PATIENCE, Command, Run, still_there

KILL, TERM, INT, STOP = signal.SIGKILL, signal.SIGTERM, signal.SIGINT, signal.SIGSTOP
BLOWS = {
    "hf-reward": [(KILL, "all"), (TERM, "run"), (INT, "run")],
    "vllm-reward": [(KILL, "run"), (KILL, "VLLM::EngineCore"), (TERM, "run"), (KILL, "VLLM::Worker"), (INT, "run")],
    "api-reward": [(KILL, "run"), (KILL, "server"), (TERM, "run"), (STOP, "server"), (INT, "run")],
}


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
    parser.add_argument("--engine", choices=BLOWS, default="hf-reward")
    parser.add_argument("--model", default="demo")
    parser.add_argument("--options", default="", help="more of --model_args")
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--ranks", type=int, default=1)
    parser.add_argument(
        "--copies", type=int, default=30, help="of the packaged pairs, each with another number in front"
    )
    parser.add_argument("--tokens-per-pack", type=int, default=512, help="of hf-reward")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    # a shell's background jobs ignore Ctrl-C, and so would the runs
    signal.signal(signal.SIGINT, signal.default_int_handler)
    left: list[psutil.Process] = []
    with tempfile.TemporaryDirectory() as name:
        command = Command(arguments, Path(name))
        try:
            tables(arguments, command, left)
        finally:
            if command.server:
                command.server.end()
            for process in left:
                with contextlib.suppress(psutil.NoSuchProcess):
                    process.kill()


def tables(arguments: argparse.Namespace, command: Command, left: list[psutil.Process]) -> None:
    """Run and print; processes that outlive a run are added to `left`."""
    pick, ranks, blows = random.Random(arguments.seed), arguments.ranks, BLOWS[arguments.engine]
    finished(command.start("one", "one", ranks=1))
    undisturbed = command.outcome("one")
    run = command.start("several", "several", ranks)
    seconds = finished(run)
    loading = time.monotonic() - run.start - seconds
    print(
        f"{command.requests} conversations, {ranks} process{'es' * (ranks > 1)}, {seconds:.0f} s from the first score on.\n"
    )
    print(
        "| kill | signal | to | after, s | answers before | answers after | scored, by the bar | lost | end after, s ",
        end="",
    )
    print("| processes left | exit |\n|---:|---|---|---:|---:|---:|---:|---:|---:|---:|---:|", flush=True)
    ends = [("not killed", ranks, compared(undisturbed, command.outcome("several")))]
    kills, chain, killed, lines = 0, 0, 0, []

    def at_its_end() -> None:
        ends.append((f"killed {killed} times", ranks, compared(undisturbed, command.outcome(f"chain_{chain}"))))

    while kills < arguments.kills:
        cache = f"chain_{chain}"
        before = [command.cached(cache, rank) for rank in range(ranks)]
        run = command.start(cache, cache, ranks)
        early, part = kills % 7 == 6, pick.random()
        if early:
            with contextlib.suppress(subprocess.TimeoutExpired):
                run.process.wait(part * loading)
        else:
            # by what is scored: other work on the machine changes how long that takes
            run.wait_for_scores(1 + part * 2 * command.requests / min(arguments.kills, 8) / ranks)
        if run.process.poll() is not None:
            if run.process.returncode:
                raise RuntimeError(f"a run failed by itself: {run.last_line()}")
            at_its_end()
            chain, killed = chain + 1, 0
            continue
        (sent, whom), children = blows[kills % len(blows)], run.children()
        passed, struck = time.monotonic() - run.start, time.monotonic()
        reached = run.strike(sent, whom, command.server)
        status = run.process.wait(PATIENCE)
        ended, orphans = time.monotonic() - struck, still_there(children)
        left += orphans
        if whom == "server":
            lines.append(run.last_line())
            command.server.revive()
        elif reached not in ("all", "run"):
            lines.append(run.last_line())
        after = [command.cached(cache, rank) for rank in range(ranks)]
        scored, kills, killed = run.scored(), kills + 1, killed + 1
        print(
            f"| {kills} | {sent.name} | {reached} | {passed:.1f} | {sum(before)} | {sum(after)} | {scored} "
            f"| {max(0, scored - after[0] + before[0])} | {ended:.1f} | {len(orphans)} | {status} |",
            flush=True,
        )
    if killed:
        finished(command.start(cache, cache, ranks))
        at_its_end()
    print(
        "\n| run | processes | largest difference of a score | verdicts that differ | table |\n|---|---:|---:|---:|---|"
    )
    for line in ends:
        print("| " + " | ".join(map(str, line)) + " |")
    print("", *dict.fromkeys(lines), sep="\n")


if __name__ == "__main__":
    main()
