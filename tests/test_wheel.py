"""The built wheel: what is in it, that a plain `lm_eval` sees it, that uninstalling leaves nothing."""

import os
import subprocess
import sys
import tarfile
import venv
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]


def build(kind, source, folder):
    """Build the wheel or the sdist of a source tree, without isolation; returns the file."""
    script = f"import hatchling.build; print(hatchling.build.build_{kind}({str(folder)!r}))"
    name = subprocess.run([sys.executable, "-c", script], cwd=source, capture_output=True, text=True, check=True).stdout
    return folder / name.split()[-1]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """The checkout's wheel."""
    return build("wheel", ROOT, tmp_path_factory.mktemp("dist"))


def test_wheel_holds_package_tasks_and_start_up_files(wheel):
    """The start-up files lie at the root, the task folder inside the package; no examples, no tests."""
    names = zipfile.ZipFile(wheel).namelist()
    assert len(names) == len(set(names))
    roots = {name.split("/")[0] for name in names if ".dist-info" not in name}
    start_up = {"skywork_rb_plugin.pth", "skywork_rb_plugin.start", "_skywork_rb_plugin_startup.py"}
    assert roots == {"skywork_rb_plugin", *start_up}
    assert "skywork_rb_plugin/task_configs/__init__.py" in names
    assert "skywork_rb_plugin/task_configs/rewardbench/_base.yaml" in names
    assert "skywork_rb_plugin/task_configs/preference_demo/pairs.jsonl" in names
    assert "skywork_rb_plugin/models/known_models.yaml" in names
    # of the demo the model alone: what trained it stays in the checkout
    demo = {Path(name).name for name in names if name.startswith("skywork_rb_plugin/demo/")}
    assert demo == {file.name for file in (ROOT / "skywork_rb_plugin" / "demo" / "model").iterdir()}
    assert {"model.safetensors", "config.json", "tokenizer.json"} <= demo
    sizes = sum(info.file_size for info in zipfile.ZipFile(wheel).infolist())
    assert sizes < 6_000_000


def test_sdist_builds_the_same_wheel(wheel, tmp_path):
    """What is built from the sdist is the checkout's wheel, byte for byte, and the sdist has each file once."""
    with tarfile.open(build("sdist", ROOT, tmp_path)) as sdist:
        names = sdist.getnames()
        sdist.extractall(tmp_path / "source", filter="data")
    assert len(names) == len(set(names))
    assert not any("skywork_rb_plugin/task_configs" in name for name in names)
    [source] = (tmp_path / "source").iterdir()
    assert build("wheel", source, tmp_path).read_bytes() == wheel.read_bytes()


def test_installed_wheel_is_seen_and_leaves_nothing(wheel, tmp_path):
    """pip install, `lm_eval ls`, a folder moved away, pip uninstall: Python and the host work throughout."""
    venv.create(tmp_path / "venv", with_pip=False)
    python = tmp_path / "venv" / "bin" / "python"
    [site] = (tmp_path / "venv" / "lib").glob("python*/site-packages")
    # the dependencies of the running interpreter, without its .pth files: no second copy of the plugin through them
    (site / "dependencies.pth").write_text("".join(f"{path}\n" for path in sys.path if path.endswith("site-packages")))
    before = sorted(site.rglob("*"))
    pip = [sys.executable, "-m", "pip", "--python", str(python)]

    def call(*arguments):
        env = {**os.environ, "PYTHONPATH": "", "PYTHONDONTWRITEBYTECODE": "1"}
        done = subprocess.run(
            [*map(str, arguments)], cwd=tmp_path, env=env, capture_output=True, text=True, timeout=300
        )
        assert done.returncode == 0, done.stderr[-3000:]
        return done

    call(*pip, "install", "--no-deps", "--no-index", "--no-compile", "-q", wheel)
    listed = call(python, "-m", "lm_eval", "ls", "subtasks").stdout
    assert f"{site}/skywork_rb_plugin/task_configs/rewardbench/hep_go.yaml" in listed
    found = "import importlib.resources as r; print(r.files('skywork_rb_plugin.task_configs'))"
    assert call(python, "-c", found).stdout.strip() == str(site / "skywork_rb_plugin" / "task_configs")
    (site / "skywork_rb_plugin").rename(tmp_path / "moved")
    gone = call(python, "-c", "import lm_eval.models; print('fine')")
    assert gone.stdout.strip() == "fine"
    (tmp_path / "moved").rename(site / "skywork_rb_plugin")
    (site / "_skywork_rb_plugin_startup.py").rename(tmp_path / "startup.py")
    assert call(python, "-c", "pass").stderr == ""
    (tmp_path / "startup.py").rename(site / "_skywork_rb_plugin_startup.py")
    call(*pip, "uninstall", "-y", "skywork-rb-plugin")
    assert sorted(site.rglob("*")) == before
