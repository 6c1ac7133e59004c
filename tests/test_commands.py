"""`python -m skywork_rb_plugin`: one table of commands, help without the host, misspelt words."""

import ast
import os
import subprocess
import sys
from pathlib import Path

import pytest

import skywork_rb_plugin
from skywork_rb_plugin import commands
from skywork_rb_plugin.__main__ import HOST_COMMANDS, main

PACKAGE = Path(skywork_rb_plugin.__file__).parent


def test_help_lists_all_commands_without_the_host():
    """With --help and with nothing: a line for each command, and lm-eval is not imported."""
    for arguments in ([], ["--help"]):
        script = (
            f"import sys; from skywork_rb_plugin.__main__ import main; sys.argv[1:] = {arguments}; main(); "
            "sys.exit('lm_eval' in sys.modules or 'datasets' in sys.modules)"
        )
        done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
        assert (done.returncode, done.stderr) == (0, "")
        lines = [line.split(maxsplit=1) for line in done.stdout.splitlines() if line.startswith("  ")]
        ours = [[name, description] for name, (_, description) in commands.COMMANDS.items()]
        assert lines == [*ours, *map(list, HOST_COMMANDS.items())]
        assert "`python -m skywork_rb_plugin run --help`" in done.stdout


def test_an_ascii_terminal_gets_what_it_can_show():
    """Other characters come as numbers; nothing ends in a traceback."""
    ascii_only = {**os.environ, "LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    for arguments in (["--help"], ["info"]):
        command = [sys.executable, "-m", "skywork_rb_plugin", *arguments]
        done = subprocess.run(command, env=ascii_only, capture_output=True, text=True)
        assert (done.returncode, "Traceback" in done.stderr) == (0, False)
        assert "\\u2026" in done.stdout


@pytest.mark.parametrize("name", commands.COMMANDS)
def test_every_command_describes_itself_as_the_table_does(name, capsys, monkeypatch):
    """`COMMAND --help` runs the module that the table names."""
    monkeypatch.setattr(sys, "argv", ["x", name, "--help"])
    monkeypatch.setenv("COLUMNS", "200")
    with pytest.raises(SystemExit) as caught:
        main()
    assert caught.value.code == 0
    out = capsys.readouterr().out
    assert out.startswith(f"usage: python -m skywork_rb_plugin {name} ")
    assert commands.COMMANDS[name][1][1:] in out


def test_the_hosts_commands_are_those_it_has():
    """What the help lists, and what words are compared with."""
    from lm_eval._cli import HarnessCLI

    assert list(HOST_COMMANDS) == list(HarnessCLI()._subparsers.choices)


@pytest.mark.parametrize(("word", "meant"), [("inof", "info"), ("new_task", "new-task"), ("rnu", "run"), ("valdate", "validate")])  # fmt: skip
def test_a_misspelt_command_gets_the_nearest(word, meant, capsys, monkeypatch):
    """One line and exit code 2, for our commands and the host's."""
    monkeypatch.setattr(sys, "argv", ["x", word, "--tasks", "rewardbench"])
    with pytest.raises(SystemExit) as caught:
        main()
    assert caught.value.code == 2
    assert capsys.readouterr().err == f"skywork-rb-plugin: found no command {word!r}, did you mean {meant}?\n"


@pytest.mark.parametrize(
    ("arguments", "code", "output"),
    [
        (["frobnicate"], 2, "lm-eval: error: argument COMMAND: invalid choice: 'frobnicate'"),
        (["--model", "hf-reward", "--help"], 0, "usage: lm-eval run "),
    ],
)
def test_all_else_goes_to_the_host(arguments, code, output):
    """Words that are like none, and the host's old flags, which it takes for `run`."""
    done = subprocess.run([sys.executable, "-m", "skywork_rb_plugin", *arguments], capture_output=True, text=True)
    assert done.returncode == code
    assert output in done.stdout + done.stderr


def test_nobody_imports_the_commands():
    """They may know every part; of the package only `__main__` knows them."""
    for file in PACKAGE.rglob("*.py"):
        if file.is_relative_to(PACKAGE / "commands") or file == PACKAGE / "__main__.py":
            continue
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            names = [alias.name for alias in node.names] if isinstance(node, (ast.Import, ast.ImportFrom)) else []
            module = (node.module or "") if isinstance(node, ast.ImportFrom) else ""
            assert not any("commands" in f"{module}.{name}".split(".") for name in names), file


def test_a_reader_that_stops_reading_is_no_error():
    """`… info | head` ends without a traceback."""
    command = [sys.executable, "-m", "skywork_rb_plugin", "info"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        process.stdout.close()
        assert process.stderr.read() == ""
