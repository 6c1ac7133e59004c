"""`check MODEL`: load a model, say what it is and how it is read, score some conversations in three ways, and compare."""

import argparse
import contextlib
import json
import logging
import sys
from collections.abc import Iterator

from skywork_rb_plugin.commands import argument_parser
from skywork_rb_plugin.commands.info.command import environment
from skywork_rb_plugin.discovery import MODELS
from skywork_rb_plugin.errors import UserError


def main(arguments: list[str]) -> None:
    """Print what was found; exit with 1 where something is wrong.

    Raises:
        UserError: the model can't be loaded or scored with (under --json it is printed as an `error` instead).
    """
    options = _parser().parse_args(arguments)
    try:
        with _warnings() as warnings:
            found = _examined(options)
    except UserError as error:
        if not options.json:
            raise
        print(json.dumps({"error": str(error), "warnings": warnings, **_where()}, indent=2))
        sys.exit(1)
    if options.json:
        content = {**found.facts, "warnings": warnings, "problems": found.problems, **_where()}
        print(json.dumps(content, indent=2, default=str, ensure_ascii=False))
    else:
        from skywork_rb_plugin.commands.check.text import lines_of

        print("\n".join(lines_of(found, warnings)))
    sys.exit(1 if found.problems else 0)


def _examined(options: argparse.Namespace):
    from skywork_rb_plugin.commands.check.findings import examine
    from skywork_rb_plugin.host import simple_parse_args_string
    from skywork_rb_plugin.models.loading import load

    text = options.model_args
    try:
        given = json.loads(text) if text.strip().startswith("{") else simple_parse_args_string(text)
    except ValueError as error:
        raise UserError(f"found --model_args {text!r} ({error}), expected NAME=VALUE,… or a JSON object") from error
    if "pretrained" in given:
        raise UserError("found pretrained=… in --model_args, expected the model as the first argument alone")
    return examine(load(options.pretrained, model=options.model, **{"device": options.device, **given}))


def _where() -> dict[str, object]:
    """The packages that did it, for a bug report."""
    found = environment()
    return {name: found[name] for name in ("version", "versions", "python")}


@contextlib.contextmanager
def _warnings() -> Iterator[list[str]]:
    """Warnings of the plugin and the host, kept for the report and out of its way."""
    logger, kept = logging.getLogger("lm_eval"), []

    class Keep(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            if record.levelno >= logging.WARNING:
                kept.append(record.getMessage())

    keep, propagated, handlers = Keep(), logger.propagate, logger.handlers[:]
    logger.handlers, logger.propagate = [keep], False
    try:
        yield kept
    finally:
        logger.handlers, logger.propagate = handlers, propagated


def _parser() -> argparse.ArgumentParser:
    parser = argument_parser("check")
    parser.add_argument("pretrained", metavar="MODEL", help="hub name or folder of a model, or demo")
    parser.add_argument("--model", default="hf-reward", choices=list(MODELS), help="as of lm_eval run")
    parser.add_argument(
        "--model_args", metavar="NAME=VALUE,…", default="", help="its other options, as of lm_eval run, or as JSON"
    )
    parser.add_argument("--device", help="as of lm_eval run")
    parser.add_argument("--json", action="store_true", help="print JSON, for a bug report")
    return parser
