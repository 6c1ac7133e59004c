"""The ways in which the host comes to know our models and tasks, without and with discovery of its own."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

from skywork_rb_plugin import discovery

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

ROOT = Path(__file__).resolve().parents[1]
ENTRY_POINTS = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["entry-points"]

# What the host does from the release after 0.4.13 on, done to 0.4.13. Models (lm-evaluation-harness' pull request 4013):
# `load_plugins` registers a group's entry points, except names that are taken, when a name is first looked up. Tasks
# (4015, open): the entry point names a package, whose folder is indexed after the host's own and before --include_path.
HOST_WITH_DISCOVERY = """
import importlib.metadata, importlib.util, logging, sys
from pathlib import Path

logging.basicConfig(level=logging.DEBUG)
import _skywork_rb_plugin_startup
_skywork_rb_plugin_startup.start()

import lm_eval.api.registry as registry
import lm_eval.tasks.manager as manager

def load_plugins(group, components):
    for entry in importlib.metadata.entry_points(group=group):
        if entry.name in components:
            print("collision:", entry.name, file=sys.stderr)
        else:
            components.register(entry.name, target=entry)

def get_model(name):
    import lm_eval.models
    load_plugins("lm_eval.models", registry.model_registry)
    return look_up(name)

look_up, registry.get_model, registry.load_plugins = registry.get_model, get_model, load_plugins
DEFAULT = Path(manager.__file__).parent

class Index(manager.TaskIndex):
    @staticmethod
    def build(paths):
        places = [i + 1 for i, path in enumerate(paths) if path == DEFAULT] or [0]
        for entry in importlib.metadata.entry_points(group="lm_eval.tasks"):
            [folder] = importlib.util.find_spec(entry.value).submodule_search_locations
            paths.insert(places[0], Path(folder).resolve())
        print("indexed:", *paths)
        return manager_index.build(paths)

manager_index, manager.TaskIndex = manager.TaskIndex, Index
# a few of the host's own tasks will do: all take seconds
files_in = manager_index._iter_yaml_files
manager_index._iter_yaml_files = lambda root: files_in(root / "arc" if root == DEFAULT else root)
"""


def python(script, folder, *paths):
    """Run a script in a folder, with these paths and ours first on sys.path; returns the finished process."""
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(map(str, [*paths, ROOT, ROOT / "startup"]))}
    done = subprocess.run([sys.executable, "-c", script], env=env, cwd=folder, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-4000:]
    return done


def installed(folder, entry_points):
    """A folder with the metadata that an installed plugin of these entry points has; it hides what is installed."""
    place = folder / "skywork_rb_plugin-0.0.0.dist-info"
    place.mkdir(parents=True)
    (place / "METADATA").write_text("Metadata-Version: 2.1\nName: skywork-rb-plugin\nVersion: 0.0.0\n")
    lines = [
        f"[{group}]\n" + "".join(f"{n} = {v}\n" for n, v in names.items()) for group, names in entry_points.items()
    ]
    (place / "entry_points.txt").write_text("\n".join(lines))
    return folder


def test_host_with_discovery_of_its_own_finds_everything_once(tmp_path):
    """Where the host registers our entry points the start-up file adds nothing, and --include_path still wins."""
    mine = tmp_path / "mine" / "demo.yaml"
    mine.parent.mkdir()
    mine.write_text("task: preference_demo_chat\n")
    script = HOST_WITH_DISCOVERY + (
        "print('host:', DEFAULT)\n"
        "print('model:', registry.get_model('hf-reward').__name__)\n"
        "print('demo:', manager.TaskManager().task_index['preference_demo_chat'].yaml_path)\n"
        "print('demo:', manager.TaskManager(include_path=sys.argv[1]).task_index['preference_demo_chat'].yaml_path)\n"
    ).replace("sys.argv[1]", repr(str(mine.parent)))
    done = python(script, tmp_path, installed(tmp_path / "site", ENTRY_POINTS))
    ours = discovery.task_folder()
    default = done.stdout.splitlines()[0].removeprefix("host: ")
    assert done.stdout.splitlines()[1:] == [
        "model: HFReward",
        f"indexed: {default} {ours}",
        f"demo: {ours / 'preference_demo' / 'chat.yaml'}",
        f"indexed: {default} {ours} {mine.parent}",
        f"demo: {mine}",
    ]
    clashes = ("collision", "overrides existing task", "Duplicate", "already registered", "did not load")
    lines = [line for line in done.stderr.splitlines() if any(word in line for word in clashes)]
    assert len(lines) == 1
    assert f"Task 'preference_demo_chat' from {mine} overrides" in lines[0]


def test_a_checkout_without_metadata_is_registered_on_such_a_host(tmp_path):
    """With no entry points to find, as on PYTHONPATH alone, the start-up file does it all."""
    script = HOST_WITH_DISCOVERY + (
        "import lm_eval.models; print('hf-reward' in registry.model_registry)\n"
        "print('rewardbench' in manager.TaskManager().task_index)"
    )
    done = python(script, tmp_path, installed(tmp_path / "site", {}))
    assert [line for line in done.stdout.splitlines() if "indexed" not in line] == ["True", "True"]


def test_an_index_is_searched_with_one_look_at_the_folder(task_manager, monkeypatch):
    """Resolving the folder for each of the host's many entries took a second a group."""
    looks = []
    folder = discovery.task_folder()
    monkeypatch.setattr(discovery, "task_folder", lambda: looks.append(1) or folder)
    monkeypatch.setattr(discovery, "_indexes", [task_manager.task_index])
    assert discovery.task_index(None) is task_manager.task_index
    assert len(looks) == 1


def test_task_folder_is_a_package(tmp_path):
    """The name that the entry point in `lm_eval.tasks` gives leads to the folder, and looking it up imports nothing big."""
    script = (
        "import importlib.resources, importlib.util, pathlib, sys\n"
        "name = 'skywork_rb_plugin.task_configs'\n"
        "[place] = importlib.util.find_spec(name).submodule_search_locations\n"
        "for folder in (place, importlib.resources.files(name)): print(pathlib.Path(folder).resolve())\n"
        "print([name for name in ('lm_eval', 'torch', 'transformers', 'datasets') if name in sys.modules])"
    )
    assert python(script, tmp_path).stdout.splitlines() == [*[str(discovery.task_folder())] * 2, "[]"]


def test_a_checkout_without_links_finds_its_tasks(tmp_path):
    """Git on Windows makes a text file of the link skywork_rb_plugin/task_configs: the folder beside is taken."""
    shutil.copytree(
        ROOT / "skywork_rb_plugin",
        tmp_path / "skywork_rb_plugin",
        ignore=shutil.ignore_patterns("task_configs", "demo"),
    )
    (tmp_path / "skywork_rb_plugin" / "task_configs").write_text("../task_configs")
    (tmp_path / "task_configs").mkdir()
    done = python("from skywork_rb_plugin import discovery; print(discovery.task_folder())", tmp_path, tmp_path)
    assert Path(done.stdout.strip()) == (tmp_path / "task_configs").resolve()


def test_entry_points_are_what_discovery_registers():
    """The models and the task package that pyproject.toml declares are those that the start-up file registers."""
    assert ENTRY_POINTS["lm_eval.models"] == discovery.MODELS
    assert list(ENTRY_POINTS["lm_eval.tasks"].values()) == ["skywork_rb_plugin.task_configs"]
