"""Whether a task's rows are on this machine, told from the names of files: nothing is loaded, nothing asks a network."""

import glob
from collections.abc import Mapping
from pathlib import Path

import datasets
from datasets.naming import camelcase_to_snakecase

from skywork_rb_plugin.tasks import data
from skywork_rb_plugin.tasks.hub_files import hub_file

# from the nearest to the farthest
STATES = {
    "packaged": "came with this plugin",
    "local": f"a folder or file of this machine, such as one below {data.DATA_ROOT}",
    "cached": "loaded before, in the cache of `datasets`",
    "download": "fetched when a task first needs it",
}


def find_state(config: Mapping, folder: Path) -> tuple[str, str]:
    """Where a run would take a task's rows from.

    Args:
        config: the task's YAML, with what it includes.
        folder: the YAML's folder.

    Returns:
        One of STATES, and the source in words.
    """
    source = data.find_source(
        config["dataset_path"], config.get("dataset_name"), config.get("dataset_kwargs"), yaml_folder=folder
    )
    return _state_of(source, folder), source.origin


def _state_of(source: data.Source, folder: Path) -> str:
    if file := hub_file(source.options.get("data_files")):
        return "cached" if file.is_cached() else "download"
    if files := str(source.options.get("data_files", "")):
        if "://" in files:  # `datasets` asks the web for them each time, whatever its cache has
            return "download"
        return "packaged" if glob.escape(str(folder)) in files else "local"
    if Path(source.path).is_dir():
        return "local"
    return "cached" if _is_cached(source) else "download"


def _is_cached(source: data.Source) -> bool:
    """Whether `datasets` has prepared this dataset before, where it keeps it: namespace___name/config/version/commit."""
    *namespace, name = source.path.split("/")
    options = {key: value for key, value in source.options.items() if key != "revision"}
    named = datasets.BuilderConfig(source.name or "default").create_config_id(options)
    config = glob.escape(named) if source.name or options else "*"
    place = Path(datasets.config.HF_DATASETS_CACHE, "___".join([*namespace, camelcase_to_snakecase(name)]))
    commit = source.options.get("revision", "*")
    return any(place.glob(f"{config}/*/{commit}/{datasets.config.DATASET_INFO_FILENAME}"))
