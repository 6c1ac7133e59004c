"""Our own commands, `python -m skywork_rb_plugin COMMAND`: a line in the table and a module make one.

Commands may use every other part of the package; no other part may use them. Importing this imports none of them.
"""

import argparse
import importlib

# command -> the function that takes the arguments after it, and what the command does
COMMANDS = {
    "check": (
        "skywork_rb_plugin.commands.check.command:main",
        "load a model, show how its rewards are read, say what is wrong",
    ),
    "compare": (
        "skywork_rb_plugin.commands.compare.command:main",
        "tell which of two runs is better, whether that may be chance, and on which rows they differ",
    ),
    "info": (
        "skywork_rb_plugin.commands.info.command:main",
        "show models, benchmarks, where their data is, and versions",
    ),
    "new-task": (
        "skywork_rb_plugin.commands.new_task.command:main",
        "look at a preference dataset, write a task's YAML, say how to run it",
    ),
    "overlap": (
        "skywork_rb_plugin.commands.overlap.command:main",
        "report n-grams that a training set shares with evaluation prompts",
    ),
    "report": (
        "skywork_rb_plugin.commands.report.command:main",
        "write a page about one run or many: scores, margins, comparisons, the hardest rows",
    ),
    "score": (
        "skywork_rb_plugin.commands.score.command:main",
        "give rewards to a file of conversations, or of prompts with many responses",
    ),
    "sweep": (
        "skywork_rb_plugin.commands.sweep.command:main",
        "run the same tasks for many checkpoints, or revisions of one, each in a process and a folder of its own",
    ),
}


def run(name: str, arguments: list[str]) -> None:
    """Run one of COMMANDS with the arguments after its name."""
    module, _, function = COMMANDS[name][0].partition(":")
    getattr(importlib.import_module(module), function)(arguments)


def argument_parser(name: str) -> argparse.ArgumentParser:
    """A parser for one of COMMANDS, with its description from the table."""
    description = COMMANDS[name][1]
    return argparse.ArgumentParser(
        prog=f"python -m skywork_rb_plugin {name}", description=f"{description[0].upper()}{description[1:]}."
    )
