"""Wheels built from a source tree, and environments to install them in, for tests."""

import os
import subprocess
import sys
import venv
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


def build(kind, source, folder):
    """Build the wheel or the sdist of a source tree, without isolation; returns the file."""
    script = f"import hatchling.build; print(hatchling.build.build_{kind}({str(folder)!r}))"
    name = subprocess.run([sys.executable, "-c", script], cwd=source, capture_output=True, text=True, check=True).stdout
    return folder / name.split()[-1]


class Environment:
    """A virtual environment with the dependencies of the running interpreter, but without its own plugin.

    Attributes:
        python: its interpreter.
        site: its site-packages.
    """

    def __init__(self, folder):
        venv.create(folder / "venv", with_pip=False)
        self.folder, self.python = folder, folder / "venv" / "bin" / "python"
        [self.site] = (folder / "venv" / "lib").glob("python*/site-packages")
        # without its .pth files: no second copy of the plugin through them
        paths = [path for path in sys.path if path.endswith("site-packages")]
        (self.site / "dependencies.pth").write_text("".join(f"{path}\n" for path in paths))

    def call(self, *arguments):
        """Run a command; its output."""
        env = {**os.environ, "PYTHONPATH": "", "PYTHONDONTWRITEBYTECODE": "1"}
        done = subprocess.run(
            [*map(str, arguments)], cwd=self.folder, env=env, capture_output=True, text=True, timeout=300
        )
        assert done.returncode == 0, done.stderr[-3000:]
        return done

    def pip(self, *arguments):
        """Run pip on it, offline."""
        return self.call(sys.executable, "-m", "pip", "--python", self.python, *arguments)

    def install(self, *wheels):
        """Install wheels alone."""
        self.pip("install", "--no-deps", "--no-index", "--no-compile", "-q", *wheels)
