"""Runs on a CPU whose memory runs out in the middle: whether they go on, and to the same scores; prints a table.

    python benchmarks/out_of_memory.py                            # prefix trees, packs of 4096 tokens
    python benchmarks/out_of_memory.py --options batch_size=64    # padded batches

The real command with --use_cache on a file of pairs. Once it has scored something, its address space (RLIMIT_AS) is
limited to what it has and some MB more; what it came to is compared with a run without a limit, and where it failed, so is
the same command started again without one.
"""

import argparse
import contextlib
import tempfile
from pathlib import Path

import psutil
from killed import PATIENCE, Command
from kills import compared, finished

HEADROOM = (400, 200, 100, 70, 50, 30, 20, 10, 5, 2, 1, 0)


def main() -> None:
    """Parse the command line, run, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="demo")
    parser.add_argument("--options", default="", help="more of --model_args")
    parser.add_argument("--copies", type=int, default=40, help="of the packaged pairs")
    parser.add_argument("--tokens-per-pack", type=int, default=4096)
    parser.add_argument("--headroom", type=int, nargs="+", default=HEADROOM, help="MB")
    arguments = parser.parse_args()
    arguments.engine = "hf-reward"
    with tempfile.TemporaryDirectory() as name:
        command = Command(arguments, Path(name))
        finished(command.start("one", "one", ranks=1))
        undisturbed = command.outcome("one")
        print(
            "| MB left | scored then | exit | answers kept | largest difference | verdicts that differ | table | said |"
        )
        print("|---:|---:|---:|---:|---:|---:|---|---|", flush=True)
        for headroom in arguments.headroom:
            cache = f"left_{headroom}"
            run = command.start(cache, cache, ranks=1)
            run.wait_for_scores()
            process = psutil.Process(run.process.pid)
            with contextlib.suppress(psutil.NoSuchProcess):
                most = process.memory_info().vms + headroom * 2**20
                process.rlimit(psutil.RLIMIT_AS, (most, most))
            scored, status = run.scored(), run.process.wait(PATIENCE)
            kept, said = command.cached(cache), run.last_line() if status else run.line_with("ut of memory")
            if status:
                finished(command.start(cache, cache, ranks=1))
            print(f"| {headroom} | {scored} | {status} | {kept} of {command.requests} "
                  f"| {compared(undisturbed, command.outcome(cache))} | `{said[:300]}` |", flush=True)  # fmt: skip


if __name__ == "__main__":
    main()
