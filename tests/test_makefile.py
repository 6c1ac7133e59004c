"""`make demo`: what it says at its end, with a stand-in for the command that takes seconds."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from test_docs import code_of

ROOT = Path(__file__).parent.parent


def demo(venv, printed, status=0):
    """Run `make demo` where an installed environment's `lm_eval` prints a text and exits."""
    (venv / "bin").mkdir(parents=True, exist_ok=True)
    (venv / "installed").touch()
    script = venv / "bin" / "lm_eval"
    script.write_text(f"#!{sys.executable}\nimport sys\nprint({printed!r})\nsys.exit({status})\n", encoding="utf-8")
    script.chmod(0o755)
    return subprocess.run(["make", "-s", "demo", f"VENV={venv}"], cwd=ROOT, capture_output=True, text=True)


@pytest.mark.skipif(not shutil.which("make"), reason="there is no make")
def test_the_demo_says_whether_it_worked(tmp_path):
    """The README shows its end; another score, or no table, ends it with an error that says so."""
    shown = code_of("README.md", "text")[0].strip()
    table = shown.partition("The demo worked")[0]
    done = demo(tmp_path / "venv", table.rstrip() + "\n")
    assert done.returncode == 0
    assert done.stdout.strip() == shown.replace("$PWD/.venv", str(tmp_path / "venv"))
    for printed, status in ((table.replace("0.8571", "0.8482"), 0), ("", 1)):
        done = demo(tmp_path / "venv", printed, status)
        assert done.returncode != 0
        assert "The demo failed: found no table whose first row has the score 0.8571." in done.stderr
        assert "worked" not in done.stdout
