"""`python -m skywork_rb_plugin sweep`: lm-eval's `run` for each of many checkpoints, each in a process of its own."""

import argparse
import json
import os
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

from skywork_rb_plugin import discovery
from skywork_rb_plugin.commands import argument_parser
from skywork_rb_plugin.commands.sweep.checkpoints import Checkpoint, read_checkpoints, revisions_of
from skywork_rb_plugin.commands.sweep.record import Record, last_line
from skywork_rb_plugin.commands.sweep.table import print_table
from skywork_rb_plugin.errors import UserError

# settings of `run` that decide no score
_INDIFFERENT = {"output_path", "use_cache", "device", "verbosity", "show_config", "write_out"}
_REFUSED = {
    "config": "its settings as flags",
    "cache_requests": "none: its files know tasks and tokenizers by name, and revisions share their names",
}


def main(arguments: list[str]) -> None:
    """Run what is not done yet, print the scores of all, say what failed.

    Raises:
        UserError: a flag, a file or a task can't be used, results were made with other arguments, or a checkpoint failed.
    """
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # so that a run under way is ended too
    options, handed_on = _parser().parse_known_args(arguments)
    if "TORCHELASTIC_RUN_ID" in os.environ:
        raise UserError("found `sweep` within torchrun, expected it to start torchrun: --launcher 'torchrun …'")
    config = _configuration(handed_on)
    model = config.model_args
    checkpoints = (
        read_checkpoints(options.checkpoints, model) if options.checkpoints else revisions_of(model, options.revisions)
    )
    if options.only is not None:
        if not 1 <= options.only <= len(checkpoints):
            raise UserError(f"found --only {options.only}, expected a number from 1 to {len(checkpoints)}")
        checkpoints = [checkpoints[options.only - 1]]
    asked = [_asked(config, one) for one in checkpoints]
    try:
        records = [Record(Path(config.output_path) / one.folder) for one in checkpoints]
        todo = _todo(checkpoints, records, asked, options.overwrite)
        if todo:
            _find_tasks(config)
        failed = _run_all(checkpoints, records, asked, todo, (options.launcher, handed_on, config.use_cache))
    except OSError as error:
        raise UserError(f"can't write {error.filename or config.output_path} ({error.strerror})") from error
    done = {one.name: record.results for one, record in zip(checkpoints, records, strict=True) if record.results}
    print_table({name: file for name, file in done.items() if name not in failed})
    for name, said in failed.items():
        print(f"failed: {name}: {said}", file=sys.stderr)
    if failed:
        raise UserError(f"{len(failed)} of {len(checkpoints)} checkpoints failed; the same command tries them again")


def _parser() -> argparse.ArgumentParser:
    parser = argument_parser("sweep")
    parser.allow_abbrev = False  # --model is not --models
    parser.usage = "%(prog)s (--revisions R … | --checkpoints FILE) --output_path FOLDER [flags of run]"
    which = parser.add_mutually_exclusive_group(required=True)
    which.add_argument("--revisions", nargs="+", help="revisions of the model in --model_args")
    which.add_argument("--checkpoints", metavar="FILE", help="one a line, as in --model_args: NAME,revision=1")
    parser.add_argument("--only", type=int, metavar="N", help="only the Nth of them, as for a job of an array")
    parser.add_argument("--overwrite", action="store_true", help="run again what has results")
    parser.add_argument(
        "--launcher",
        default=shlex.quote(sys.executable),
        help="what starts each run, such as 'torchrun --nproc_per_node 2'",
    )
    return parser


def _configuration(handed_on: Sequence[str]):
    """What the host makes of the flags for `run`.

    Raises:
        UserError: the host refuses them, or they make no sweep.
    """
    from skywork_rb_plugin.host import EvaluatorConfig, Run

    parser = argparse.ArgumentParser(prog="python -m skywork_rb_plugin")
    Run.create(parser.add_subparsers())
    try:
        given = parser.parse_args(["run", *handed_on])
        for name, expected in _REFUSED.items():
            if getattr(given, name, None):
                raise UserError(f"found --{name}, which can't be used here; expected {expected}")
        if not given.output_path or Path(given.output_path).suffix == ".json" or Path(given.output_path).is_file():
            raise UserError(
                f"--output_path: found {given.output_path or 'none'}, expected a folder for all checkpoints"
            )
        if not given.tasks:
            raise UserError("found no --tasks, expected some")
        return EvaluatorConfig.from_cli(given)
    except UserError:
        raise
    except ValueError as error:
        raise UserError(f"found flags of `run` that can't be used: {error}") from error


def _find_tasks(config) -> None:
    """Have the host find the tasks: a wrong name would fail with every checkpoint."""
    discovery.register()
    try:
        config.process_tasks(config.metadata)
    except ValueError as error:
        raise UserError(f"--tasks: {error}; `python -m skywork_rb_plugin info` has ours") from error


def _asked(config, checkpoint: Checkpoint) -> dict:
    """What decides a checkpoint's scores, as JSON gives it back."""
    settings = {name: value for name, value in asdict(config).items() if name not in _INDIFFERENT}
    settings["model_args"] = {**config.model_args, **checkpoint.arguments}
    return json.loads(json.dumps(settings, default=str))


def _todo(
    checkpoints: Sequence[Checkpoint], records: Sequence[Record], asked: Sequence[Mapping], overwrite: bool
) -> list[int]:
    """The places of what is to be run; says what is not.

    Raises:
        UserError: there are results that were made with other arguments.
    """
    if overwrite:
        return list(range(len(records)))
    for checkpoint, record, wanted in zip(checkpoints, records, asked, strict=True):
        if record.results and record.asked != wanted:
            name = next(key for key in {**record.asked, **wanted} if record.asked.get(key) != wanted.get(key))
            raise UserError(
                f"found results of {checkpoint.name} made with {name} {record.asked.get(name)!r}, expected "
                f"{wanted.get(name)!r} as asked: another --output_path, or --overwrite to run it again"
            )
    todo = [place for place, record in enumerate(records) if not record.results]
    if len(todo) < len(records):
        print(
            f"{len(records) - len(todo)} of {len(records)} checkpoints have their results and are skipped", flush=True
        )
    return todo


def _run_all(checkpoints, records, asked, todo: Sequence[int], how: tuple[str, Sequence[str], str | None]) -> dict:
    """Run one after the other; returns what failed, name -> its last line."""
    launcher, handed_on, cache = how
    failed = {}
    for number, place in enumerate(todo, start=1):
        checkpoint, record = checkpoints[place], records[place]
        own = ["--model_args", json.dumps(checkpoint.arguments), "--output_path", str(record.folder)]
        if cache:
            own += ["--use_cache", f"{cache}_{checkpoint.folder}"]
        print(f"[{number}/{len(todo)}] {checkpoint.name}, log in {record.log}", flush=True)
        record.begin(asked[place])
        began = time.monotonic()
        try:
            status = _run([*shlex.split(launcher), "-m", "skywork_rb_plugin", "run", *handed_on, *own], record.log)
        except KeyboardInterrupt:
            left = len(todo) - number + 1
            print(f"\nInterrupted: {left} of {len(todo)} are left; the same command goes on", file=sys.stderr)
            raise
        if status or not record.end():
            failed[checkpoint.name] = f"{last_line(record.log)} (exit {status}, {record.log})"
        word = "failed" if checkpoint.name in failed else "done"
        print(f"    {word} after {time.monotonic() - began:.0f} s", flush=True)
    return failed


def _run(command: Sequence[str], log: Path) -> int:
    """Run to the end, output into the log; a process that is still there when this is interrupted is ended."""
    with log.open("wb") as output:
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT)
        try:
            return process.wait()
        finally:
            if process.poll() is None:
                process.terminate()  # what --use_cache has is kept
                process.wait()
