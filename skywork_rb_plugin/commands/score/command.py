"""`python -m skywork_rb_plugin score`: rewards for a file of conversations, or of prompts with many responses."""

import argparse
import sys
from collections.abc import Mapping
from contextlib import contextmanager, suppress
from itertools import islice
from pathlib import Path

from skywork_rb_plugin.commands import argument_parser
from skywork_rb_plugin.discovery import MODELS
from skywork_rb_plugin.errors import UserError

# rows by which the columns are known
_LOOKED_AT = 100


def main(arguments: list[str]) -> None:
    """Run the command.

    Raises:
        UserError: an option, the data, the model or the output can't be used; what is scored is kept.
    """
    try:
        options = _parser().parse_args(arguments)
    except ValueError as error:  # of the harness's own reading of --model_args
        raise UserError(
            f"found --model_args that can't be read ({error}), expected NAME=VALUE,… or a JSON object"
        ) from error
    output = Path(options.output)
    _check_output(output, options)
    model_class, given = _model_of(options)
    with _locked(output):
        _score(options, output, model_class, given)


def _score(options: argparse.Namespace, output: Path, model_class: type, given: Mapping) -> None:
    from skywork_rb_plugin.commands.score.journal import Journal
    from skywork_rb_plugin.commands.score.reading import Reader, fields_of
    from skywork_rb_plugin.commands.score.run import quiet, score_rows
    from skywork_rb_plugin.commands.score.source import open_source
    from skywork_rb_plugin.commands.score.windows import survey
    from skywork_rb_plugin.servers.access import AnotherModel

    source = open_source(options.data, options.config, options.split)
    first = [row.doc for row in islice(source.rows(0), _LOOKED_AT)]
    if not first:
        raise UserError(f"found no rows in {options.data}, expected some")
    fields = fields_of(first, options.data, options.prompt, options.responses)
    compares = getattr(model_class, "compares", False)
    reader = Reader(fields, options.data, options.system_instruction, options.reward, options.best, compares)
    journal = Journal(output, anew=options.overwrite)
    if output.exists() and not options.overwrite and not journal.made_by:
        raise UserError(
            f"found {output}, which this command did not make (no {journal.path} beside it); give another -o, or --overwrite to "
            "replace it"
        )
    journal.claim(_asked(options, model_class, given, reader.described))
    total, before = survey(source, reader, options.limit, journal.state.rows)
    journal.check_data(options.data, before, total)
    journal.check_output()
    if journal.state.finished:
        print(f"{output} is finished, nothing is left to do: {_summary(journal.state, before)}")
        return
    if journal.begun:
        print(f"Going on: {_left(journal, output, total)}")
    try:
        model = model_class.create_from_arg_obj({**given, **_as_before(given, journal.made_by)})
        journal.claim(_found(model))
        try:
            with quiet():
                state = score_rows(model, source, reader, journal, output, before, total)
        except AnotherModel:
            journal.disown()
            raise
        except UserError as error:
            raise UserError(f"{error}; {_left(journal, output, total)}; {_how_to_go_on(options)}") from error
    except KeyboardInterrupt:
        print(f"\nInterrupted: {_left(journal, output, total)}; {_how_to_go_on(options)}", file=sys.stderr)
        raise
    except OSError as error:
        raise UserError(
            f"can't write {error.filename or output} ({error.strerror or error}): make room, or make it writable; "
            f"{_left(journal, output, total)}; {_how_to_go_on(options)}"
        ) from error
    finally:
        journal.close()
    print(f"Wrote {output}: {_summary(state, total)}")


def _left(journal, output: Path, total) -> str:
    """What is left of a run that ended early."""
    return f"{journal.state.rows:,} of {total.rows:,} rows are in {output}, and what was scored since then in {journal.path}"


def _how_to_go_on(options: argparse.Namespace) -> str:
    return f"the same command{' without --overwrite' if options.overwrite else ''} goes on from there"


def _summary(state, total) -> str:
    counts = state.counts
    return (
        f"{state.rows:,} rows, {total.conversations:,} conversations, {counts.tokens_asked:,} tokens asked and "
        f"{counts.tokens_forwarded:,} forwarded in {state.seconds:,.1f} s; {counts.conversations_truncated:,} conversations cut"
    )


def _check_output(output: Path, options: argparse.Namespace) -> None:
    if output.suffix != ".jsonl":
        raise UserError(
            f"-o: found {output}, expected a .jsonl file: another format can't be gone on with when a run is killed"
        )
    if output.is_dir() or not output.resolve().parent.is_dir():
        found = "a folder" if output.is_dir() else f"no folder {output.parent}"
        raise UserError(f"-o: found {found}, expected a .jsonl file in a folder that exists")
    data = Path(options.data)
    if data.is_dir() and data.resolve() in output.resolve().parents:
        raise UserError(f"-o: found {output}, which lies in the data {data}; expected a file in another folder")
    if output.exists() and data.exists() and output.samefile(data):
        raise UserError(f"-o: found {output}, which is the data; expected another file")
    if options.limit is not None and options.limit < 1:
        raise UserError(f"found --limit {options.limit}, expected 1 or more rows")


def _model_of(options: argparse.Namespace) -> tuple[type, dict]:
    """The class of --model, and all options that are its own; checked."""
    from skywork_rb_plugin.models.loading import class_of

    model_class = class_of(options.model)
    flags = {"batch_size": options.batch_size, "device": options.device}
    given = {**{name: value for name, value in flags.items() if value is not None}, **(options.model_args or {})}
    model_class.check_options(given)
    if (count := model_class.processes(given)) > 1:
        raise UserError(
            f"found {count} processes of a launcher, expected one: give each a part of the data, and another -o"
        )
    return model_class, given


def _asked(options: argparse.Namespace, model_class: type, given: Mapping, columns: str) -> dict[str, str]:
    """What of the command decides the output, known before a model is loaded."""
    from skywork_rb_plugin.models.options import shown

    # which device of a kind it is decides nothing, nor how a server is asked
    decides = {name: value for name, value in given.items() if name not in model_class.indifferent}
    return {
        "--model": options.model,
        "--model_args": shown(decides),
        "--system_instruction": str(options.system_instruction),
        "--best": str(options.best),
        "columns": columns,
        "--limit": str(options.limit),
    }


def _found(model) -> dict[str, str]:
    """What of the model decides its scores, to the last bit where the machine is the same."""
    settings = {
        name.replace("_", " "): str(value)
        for name, value in model.scorer.settings().items()
        if name not in model.indifferent
    }
    # of a server or an engine it is among the settings, or not known
    return {**model.fingerprint(), **settings, "kind of device": str(getattr(model.device, "type", None))}


def _as_before(given: Mapping, made_by: Mapping[str, str]) -> dict[str, int]:
    """Packs of the size that an earlier run found to fit."""
    size = made_by.get("tokens per pack", "None")
    return {"tokens_per_pack": int(size)} if size != "None" and given.get("tokens_per_pack", "auto") == "auto" else {}


@contextmanager
def _locked(output: Path):
    """Hold a file for as long as this run lasts.

    Raises:
        UserError: another run holds it, or it can't be made.
    """
    import filelock

    # of what a link leads to
    lock = filelock.FileLock(f"{output.resolve()}.lock", timeout=0)
    try:
        lock.acquire()
    except filelock.Timeout as error:
        raise UserError(
            f"found another run that writes {output}, expected none; wait for its end, or give another -o"
        ) from error
    except OSError as error:
        raise UserError(f"-o: can't write beside {output} ({error.strerror})") from error
    try:
        yield
    finally:
        # while it is held: one that takes it afterwards makes a file of its own. Windows removes no open file
        with suppress(OSError):
            Path(lock.lock_file).unlink()
        lock.release()


def _parser() -> argparse.ArgumentParser:
    from skywork_rb_plugin.host import MergeDictAction

    parser = argument_parser("score")
    add = parser.add_argument
    add("--data", required=True, help="a .jsonl, .json, .parquet or .csv file, a folder, or a hub name")
    add("-o", "--output", required=True, metavar="FILE", help="where the rows go with their rewards: a .jsonl file")
    add("--model", default="hf-reward", choices=list(MODELS), help="as of lm_eval run (default: hf-reward)")
    add("--model_args", nargs="+", action=MergeDictAction, metavar="NAME=VALUE", help="as of lm_eval run")
    add("--batch_size", help="as of lm_eval run, for models that are not scored by prefix tree (default: 1)")
    add("--device", help="as of lm_eval run (default: CUDA where there is one, else the CPU)")
    add("--system_instruction", metavar="TEXT", help="as of lm_eval run: a system prompt for every conversation")
    add("--limit", type=int, metavar="N", help="take the first N rows alone")
    add("--config", help="configuration of the dataset, where it has several")
    add("--split", help="split of the dataset, where it has several")
    add("--prompt", metavar="COLUMN", help="the prompt: text or messages")
    add("--responses", metavar="COLUMN", nargs="+", default=[],
        help="one or more columns of responses, a column with lists, or one with conversations that end in an answer")  # fmt: skip
    add("--best", action="store_true", help="keep the best response of each row, as `response` with its `reward`")
    add("--reward", metavar="NAME", help="of the new column (default: reward, or rewards where a row has several)")
    add("--overwrite", action="store_true", help="begin anew where the output is there")
    return parser
