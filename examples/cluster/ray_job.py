"""One checkpoint of a file for each task of Ray, then one report about all. Start it on a cluster of Ray:

ray job submit --working-dir . -- python ray_job.py checkpoints.txt /shared/results --gpus 1 -- --tasks rewardbench …

What stands after the second `--` are flags of `lm_eval run`. Results, checkpoints and data lie on a disk that all nodes share.
"""

import argparse
import subprocess
import sys
from pathlib import Path

import ray

SWEEP = [sys.executable, "-m", "skywork_rb_plugin", "sweep"]


def score(checkpoints: str, number: int, results: str, flags: list[str]) -> tuple[int, str]:
    """Run one checkpoint in a process of its own; returns the exit status and what was printed."""
    which = ["--checkpoints", checkpoints, "--only", str(number), "--output_path", results]
    done = subprocess.run([*SWEEP, *which, *flags], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    return done.returncode, done.stdout


def count(checkpoints: str) -> int:
    """How many checkpoints the file has."""
    lines = [line.strip() for line in Path(checkpoints).read_text(encoding="utf-8").splitlines()]
    return len([line for line in lines if line and line[0] != "#"])


def main() -> None:
    """Run all, report, and exit with 1 where one failed."""
    parser = argparse.ArgumentParser()
    parser.add_argument("checkpoints", type=lambda name: str(Path(name).resolve()))
    parser.add_argument("results", type=lambda name: str(Path(name).resolve()))
    parser.add_argument("--gpus", type=float, default=0, help="for each checkpoint")
    parser.add_argument("--cpus", type=float, default=1, help="for each checkpoint")
    parser.add_argument("flags", nargs="*", help="after --: flags of `lm_eval run`")
    options = parser.parse_args()
    ray.init()
    # a task that Ray tries again finds what is done, and goes on from --use_cache
    task = ray.remote(num_cpus=options.cpus, num_gpus=options.gpus, max_retries=2)(score)
    numbers = range(1, count(options.checkpoints) + 1)
    waiting = {task.remote(options.checkpoints, n, options.results, options.flags): n for n in numbers}
    failed = []
    while waiting:
        [ready], _ = ray.wait(list(waiting))
        number = waiting.pop(ready)
        try:
            status, said = ray.get(ready)
        except ray.exceptions.RayError as error:  # the node is gone, or its memory was too small
            status, said = 1, str(error)
        failed += [number] if status else []
        print(f"checkpoint {number}: {'failed' if status else 'done'}\n{said}", flush=True)
    report = [sys.executable, "-m", "skywork_rb_plugin", "report", options.results, "--output", "report.html"]
    status = subprocess.run(report).returncode
    if failed:
        sys.exit(f"checkpoints {', '.join(map(str, failed))} of {options.checkpoints} failed")
    sys.exit(status)


if __name__ == "__main__":
    main()
