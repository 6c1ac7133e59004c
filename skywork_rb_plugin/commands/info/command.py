"""`python -m skywork_rb_plugin info`: what is registered, from where, with versions."""

import argparse
import importlib.metadata
import os
import sys

from skywork_rb_plugin import __version__, discovery

_PACKAGES = ("lm_eval", "torch", "transformers", "datasets", "accelerate", "peft", "tokenizers")


def main(arguments: list[str]) -> None:
    """Print the report; there are no arguments."""
    argparse.ArgumentParser(prog="python -m skywork_rb_plugin info", description=__doc__).parse_args(arguments)
    print(report())


def report() -> str:
    """The report as text. Imports the host, but no model."""
    discovery.register()
    startup = sys.modules.get("_skywork_rb_plugin_startup")
    switch = os.environ.get("SKYWORK_RB_PLUGIN_AUTOLOAD")
    lines = [
        f"skywork-rb-plugin {__version__} in {discovery.task_folder().parent}",
        f"start-up module: {startup.__file__ if startup else 'absent (use python -m skywork_rb_plugin run ...)'}",
        f"SKYWORK_RB_PLUGIN_AUTOLOAD: {'not set (on)' if switch is None else switch}",
        "",
        "models:",
        *_models(),
        "",
        f"tasks, from {discovery.task_folder()}:",
        *_tasks(),
        "",
        "versions: " + ", ".join(f"{name} {_version(name)}" for name in _PACKAGES),
        f"python: {sys.version.split()[0]} in {sys.prefix}",
    ]
    return "\n".join(lines)


def _models() -> list[str]:
    from skywork_rb_plugin.host import model_registry

    registered = {name: "registered" if name in model_registry else "NOT registered" for name in discovery.MODELS}
    return [f"  {name:12} {target}  ({registered[name]})" for name, target in discovery.MODELS.items()]


def _tasks() -> list[str]:
    from skywork_rb_plugin.host import Kind, TaskIndex

    index = TaskIndex.build([discovery.task_folder()])
    groups = [name for name, entry in index.items() if entry.kind is Kind.PY_TASK and "members" in (entry.cfg or {})]
    tags = [f"{name} ({len(entry.tags)})" for name, entry in index.items() if entry.kind is Kind.TAG]
    tasks = [name for name, entry in index.items() if entry.kind is Kind.PY_TASK and name not in groups]
    return [
        f"  groups: {', '.join(sorted(groups))}",
        f"  tags:   {', '.join(sorted(tags))}",
        *[f"  {name}" for name in sorted(tasks)],
    ]


def _version(package: str) -> str:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return "absent"
