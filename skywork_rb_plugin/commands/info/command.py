"""`python -m skywork_rb_plugin info`: what is registered, from where, which benchmarks there are, with versions."""

import argparse
import contextlib
import difflib
import importlib.metadata
import json
import logging
import os
import sys
from collections.abc import Iterator

from skywork_rb_plugin import __version__, discovery
from skywork_rb_plugin.commands import argument_parser
from skywork_rb_plugin.commands.info.benchmarks import Group, Task, read_benchmarks
from skywork_rb_plugin.commands.info.text import as_data, in_full, overview
from skywork_rb_plugin.errors import UserError
from skywork_rb_plugin.tasks.data import DATA_ROOT

_PACKAGES = ("lm_eval", "torch", "transformers", "datasets", "accelerate", "peft", "tokenizers")
# environment variable -> what is said where it is not set
_SETTINGS = {"SKYWORK_RB_PLUGIN_AUTOLOAD": "not set (on)", DATA_ROOT: "not set"}


def main(arguments: list[str]) -> None:
    """Print the report.

    Raises:
        UserError: `--task` names nothing of ours.
    """
    options = _parser().parse_args(arguments)
    with _quietly():
        catalogue = read_benchmarks()
    if options.task:
        item = _find(options.task, catalogue.named)
        print(json.dumps(as_data(item), indent=2) if options.json else "\n".join(in_full(item)))
    elif options.json:
        print(json.dumps({**environment(), "benchmarks": [as_data(item) for item in catalogue.benchmarks]}, indent=2))
    else:
        print(report(environment(), overview(catalogue)))


def environment() -> dict:
    """What is installed and registered. Imports the host and all heads, which takes seconds, but no model."""
    discovery.register()
    from skywork_rb_plugin.host import discovered_models, model_registry

    registered = {*model_registry, *discovered_models()}

    startup = sys.modules.get("_skywork_rb_plugin_startup")
    return {
        "version": __version__,
        "folder": str(discovery.task_folder().parent),
        "startup_module": startup.__file__ if startup else None,
        "task_folder": str(discovery.task_folder()),
        "settings": {name: os.environ.get(name) for name in _SETTINGS},
        "models": {
            name: {"class": target, "registered": name in registered} for name, target in discovery.MODELS.items()
        },
        "heads": _heads(),
        "versions": {name: _version(name) for name in _PACKAGES},
        "python": {"version": sys.version.split()[0], "folder": sys.prefix},
    }


def report(found: dict, benchmarks: list[str]) -> str:
    """The environment and the benchmarks' lines as text."""
    width, heads = max(map(len, found["models"])), max(len(head["name"]) for head in found["heads"])
    return "\n".join(
        [
            f"skywork-rb-plugin {found['version']} in {found['folder']}",
            f"start-up module: {found['startup_module'] or 'absent (use python -m skywork_rb_plugin run ...)'}",
            *[f"{name}: {_SETTINGS[name] if value is None else value}" for name, value in found["settings"].items()],
            "",
            "models:",
            *[
                f"  {name:{width}}  {model['class']}  ({'registered' if model['registered'] else 'NOT registered'})"
                for name, model in found["models"].items()
            ],
            "",
            "heads (head=NAME in --model_args takes one; docs/heads.md brings your own):",
            *[
                f"  {head['name']:{heads}}  {head['models']}  ({head['model']}, {head['origin']})"
                for head in found["heads"]
            ],
            "",
            f"benchmarks, from {found['task_folder']} (--task NAME shows one in full):",
            *benchmarks,
            "",
            "versions: " + ", ".join(f"{name} {version or 'absent'}" for name, version in found["versions"].items()),
            f"python: {found['python']['version']} in {found['python']['folder']}",
        ]
    )


def _find(name: str, named: dict[str, Task | Group]) -> Task | Group:
    if name in named:
        return named[name]
    near = difflib.get_close_matches(name, named, 3)
    expected = f"one such as {', '.join(near)}" if near else "a name that `info` lists"
    raise UserError(f"--task: found no benchmark, section, tag or task {name!r} of this plugin, expected {expected}")


@contextlib.contextmanager
def _quietly() -> Iterator[None]:
    """Without the log's warnings on where data comes from: the report says it."""
    logging.disable(logging.WARNING)
    try:
        yield
    finally:
        logging.disable(logging.NOTSET)


def _heads() -> list[dict[str, str]]:
    """The families of reward models, other packages' first, with a warning in the log for a package that fails."""
    from skywork_rb_plugin.heads.plugins import registered

    return [
        {
            "name": one.family.name,
            "model": "hf-pairwise" if one.family.compares else "hf-reward",
            "origin": one.origin,
            "models": one.family.models,
        }
        for one in registered()
    ]


def _version(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def _parser() -> argparse.ArgumentParser:
    parser = argument_parser("info")
    parser.add_argument("--task", metavar="NAME", help="show one benchmark, section, tag or task in full")
    parser.add_argument("--json", action="store_true", help="print JSON")
    return parser
