"""A process of the engine ends with the process that started it, and only where that asked for it."""

import os
import signal
import subprocess
import sys
from importlib.metadata import EntryPoint
from pathlib import Path

import psutil
import pytest

from skywork_rb_plugin.scoring import orphans

PYPROJECT = Path(__file__).parent.parent / "pyproject.toml"
CHILD = """\
import time
from skywork_rb_plugin.scoring.orphans import end_with_parent
end_with_parent()
print("up", flush=True)
time.sleep(60)
"""
PARENT = """\
import os, subprocess, sys, time
name, asked = sys.argv[1:3]
child = subprocess.Popen([sys.executable, "-c", sys.argv[3]], env={**os.environ, name: asked or str(os.getpid())})
print(child.pid, flush=True)
time.sleep(60)
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="Linux has the call")
@pytest.mark.parametrize(("asked", "ends"), [("", True), ("1", False)])
def test_a_child_ends_with_its_parent(asked, ends):
    """Where the parent is killed outright; children of others go on."""
    command = [sys.executable, "-c", PARENT, orphans.PARENT, asked, CHILD]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=os.environ) as parent:
        child = psutil.Process(int(parent.stdout.readline()))
        assert parent.stdout.readline() == "up\n"
        parent.send_signal(signal.SIGKILL)
        parent.wait()
        gone, alive = psutil.wait_procs([child], timeout=5 if ends else 0.5)
        for process in alive:
            process.kill()
    assert bool(gone) == ends


def test_vllm_finds_it():
    """By the entry point that this package declares."""
    project = pytest.importorskip("tomllib").loads(PYPROJECT.read_text())["project"]
    [value] = project["entry-points"]["vllm.general_plugins"].values()
    assert EntryPoint("", value, "").load() is orphans.end_with_parent
