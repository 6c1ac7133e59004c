"""Makes the host (lm-evaluation-harness) see our models and our task folder, where it does not do so itself.

Called by the start-up file right after the host's own modules, or by `register()`. Nothing here imports torch.
"""

import functools
import logging
import sys
from collections import deque
from pathlib import Path

from skywork_rb_plugin.errors import show_user_errors_plainly

# a child of the host's logger, so that its handler and level apply
logger = logging.getLogger(f"lm_eval.{__name__}")

# model name -> "module:Class": strings, so that the host imports a model only when it is asked for
MODELS = {
    "hf-reward": "skywork_rb_plugin.models.hf_reward:HFReward",
    "hf-dpo": "skywork_rb_plugin.models.hf_dpo:HFDPO",
    "hf-pairwise": "skywork_rb_plugin.models.hf_pairwise:HFPairwise",
    "vllm-reward": "skywork_rb_plugin.models.vllm_reward:VLLMReward",
    "api-reward": "skywork_rb_plugin.models.api_reward:APIReward",
}

_PACKAGE = Path(__file__).resolve().parent

# what TaskIndex.build returned for the last few TaskManagers, newest last
_indexes: deque[dict] = deque(maxlen=4)


def task_folder() -> Path:
    """The folder with our task YAMLs: inside the package when installed, beside it in a checkout."""
    # in a checkout the first is a link to the second, or no folder where git makes no links
    installed = _PACKAGE / "task_configs"
    return (installed if installed.is_dir() else _PACKAGE.parent / "task_configs").resolve()


def register() -> None:
    """Make the running process see our models and tasks. Calling it twice does no harm."""
    register_models()
    add_task_folder()


def register_models() -> None:
    """Register our models with the host, except those that it finds itself, through our entry points."""
    import lm_eval.models  # noqa: F401  the host imports its built-in models only while its registry is empty

    from skywork_rb_plugin.host import discovered_models, model_registry

    show_user_errors_plainly()
    for name in MODELS.keys() - discovered_models():
        if name not in model_registry:
            model_registry.register(name, target=MODELS[name])


def add_task_folder() -> None:
    """Have every TaskManager with the host's default tasks also index our folder, before `--include_path`.

    A host that finds the folder through our entry point in `lm_eval.tasks` has put it there itself.
    """
    from skywork_rb_plugin import host

    try:
        index = host.TaskIndex
        build = index.build
    except (ImportError, AttributeError):
        logger.warning(
            "skywork-rb-plugin does not know this release of lm-eval (no TaskIndex.build): its tasks need "
            "--include_path %s",
            task_folder(),
        )
        return
    if not hasattr(build, "without_plugin"):
        index.build = staticmethod(_with_our_folder(build, Path(sys.modules[index.__module__].__file__).parent))


def _with_our_folder(build, default_folder: Path):
    @functools.wraps(build)
    def build_with_our_folder(paths, **kwargs):
        paths = list(paths)
        places = [i for i, path in enumerate(paths) if Path(path) == default_folder]
        if places and task_folder() not in [Path(path).resolve() for path in paths]:
            paths.insert(places[0] + 1, task_folder())
        _indexes.append(build(paths, **kwargs))
        return _indexes[-1]

    build_with_our_folder.without_plugin = build
    return build_with_our_folder


def task_index(group_file: Path | None) -> dict:
    """The index in which a group finds its members.

    Args:
        group_file: the group's YAML; the index of the newest TaskManager that knows it is taken. None for a group that
            came as a dict: the newest index, with our folder's tasks where it lacks them.
    """
    from skywork_rb_plugin.host import TaskIndex

    if group_file is not None:
        for index in reversed(_indexes):
            if any(entry.yaml_path == group_file for entry in index.values()):
                return index
    build = getattr(TaskIndex.build, "without_plugin", TaskIndex.build)
    ours = task_folder()
    folders = [ours] if group_file is None else [ours, group_file.parent]
    newest = _indexes[-1] if _indexes else {}
    if group_file is None and any(entry.yaml_path and ours in entry.yaml_path.parents for entry in newest.values()):
        return newest
    return {**build(dict.fromkeys(folders)), **newest}
