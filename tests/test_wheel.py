"""The built wheel: what is in it, that a plain `lm_eval` sees it, that uninstalling leaves nothing."""

import tarfile
import zipfile
from pathlib import Path

import pytest
from wheels import ROOT, Environment, build


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
    environment = Environment(tmp_path)
    python, site, call = environment.python, environment.site, environment.call
    before = sorted(site.rglob("*"))
    environment.install(wheel)
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
    environment.pip("uninstall", "-y", "skywork-rb-plugin")
    assert sorted(site.rglob("*")) == before
