"""Where a preference task's rows come from: a local copy, a folder of the current directory, or the hub."""

import glob
import hashlib
import logging
import os
import re
import textwrap
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlparse

import datasets
from huggingface_hub.errors import (
    EntryNotFoundError,
    LocalEntryNotFoundError,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)

from skywork_rb_plugin.errors import UserError
from skywork_rb_plugin.host import info_once, warning_once
from skywork_rb_plugin.tasks.hub_files import hub_file
from skywork_rb_plugin.tasks.local_files import FORMATS, begins_with_null, not_utf8, text_files

logger = logging.getLogger(f"lm_eval.{__name__}")

DATA_ROOT = "SKYWORK_RB_DATA_ROOT"

# loaded from the hub by this process: the 23 subsets of a benchmark need not ask it one by one
_from_hub: dict[str, tuple[datasets.DatasetDict, str | None]] = {}


@dataclass(frozen=True)
class Source:
    """What `datasets.load_dataset` is asked for, and in words for the log and the results file.

    `missed` is where the data root has no copy of it; None where there is no data root.
    """

    path: str
    name: str | None
    options: dict
    origin: str
    missed: Path | None = None


def find_source(
    path: str, name: str | None, options: Mapping | None, data_root: str | None = None, yaml_folder: Path | None = None
) -> Source:
    """Choose among files, the local copy under the data root, a folder in the current directory, and the hub.

    Args:
        path: `dataset_path` of the YAML: a hub name, a folder, or a format such as `json`.
        name: `dataset_name`, the configuration.
        options: `dataset_kwargs`; relative `data_files` are looked up beside the YAML, then in the current directory,
            web addresses by their path under the data root, `hf://datasets/…` where `hf download` puts them there.
        data_root: folder that holds `path`; default: the environment's SKYWORK_RB_DATA_ROOT.
        yaml_folder: folder of the YAML, where known.
    """
    options = dict(options or {})
    options.pop("trust_remote_code", None)  # datasets 4 and later refuse it
    if "data_files" in options and "/" not in path:
        root = data_root or os.environ.get(DATA_ROOT)
        options["data_files"] = _beside(options["data_files"], yaml_folder, Path(root).expanduser() if root else None)
        if file := hub_file(options["data_files"]):
            missed = Path(root).expanduser() / file.repo / file.path if root else None
            return Source(path, name, options, f"{_hub_origin(file.repo, file.revision)}, file {file.path}", missed)
        return Source(path, name, options, f"{path} files {options['data_files']}")
    data_root = data_root or os.environ.get(DATA_ROOT)
    local = Path(data_root).expanduser() / path if data_root else None
    if local is not None and local.is_dir():
        options.pop("revision", None)
        return _folder(local, name, options, "local copy")
    if data_root:
        warning_once(logger, f"The data root {data_root} has no folder {path}: looking elsewhere.")
    if Path(path).is_dir():
        if "revision" in options:
            logger.warning(
                "The folder %s in the current directory is used instead of the hub's dataset %s at revision %s.",
                Path(path).resolve(), path, options.pop("revision"),
            )  # fmt: skip
        return _folder(Path(path).resolve(), name, options, "folder")
    return Source(path, name, options, _hub_origin(path, options.get("revision")), local)


def _hub_origin(repo: str, revision: str | None) -> str:
    return f"hub dataset {repo}" + (f" at revision {revision}" if revision else "")


def file_format(name: str, flag: str) -> str | None:
    """What `datasets` calls the format of a file named on the command line; None for a folder or a hub name.

    Raises:
        UserError: there is no such file, or its format is not known.
    """
    path = Path(name)
    local = path.suffix in FORMATS or name.startswith(("/", ".", "~")) or name.count("/") > 1
    if path.is_dir() or (not local and not path.is_file()):
        return None
    if path.suffix in FORMATS and path.is_file() and path.stat().st_size:
        return FORMATS[path.suffix]
    found = f"no file {name}" if not path.is_file() else f"{name}, a file of another format"
    if path.is_file() and not path.stat().st_size:
        found = f"{name}, an empty file"
    raise UserError(f"{flag}: found {found}, expected a {', '.join(FORMATS)} file, a folder or a hub name")


def load(source: Source, check: str = "check the dataset keys of the task's YAML") -> tuple[datasets.DatasetDict, str]:
    """Load every split; returns them and, in words, where they came from: for a hub dataset with its revision.

    Args:
        source: what to load.
        check: what the user should look at if it fails.

    Raises:
        UserError: the dataset can't be found or read.
    """
    # `datasets` would look through all of the working folder first
    if source.path in FORMATS.values() and not {"data_files", "data_dir"} & set(source.options):
        given = ", ".join(source.options) or "nothing"
        raise UserError(
            f"found {given} in dataset_kwargs beside dataset_path {source.path}, expected data_files: a file, or several"
        )
    file = hub_file(source.options.get("data_files"))
    if line := begins_with_null(_text_files(source)):
        raise UserError(line)
    try:
        dataset, revision = _from_hub.get(repr(source)) or (_load_file if file else _load)(source)
        _validate(dataset)
    except Exception as error:
        raise UserError(_advice(source, error, check)) from error
    origin = source.origin
    if origin.startswith("hub"):
        _from_hub[repr(source)] = dataset, revision
        pinned = file.revision if file else source.options.get("revision")
        if revision and not pinned:
            origin += f" at revision {revision} (not pinned)"
    info_once(logger, f"Preference rows come from the {origin}.")
    return dataset, origin


def _load(source: Source) -> tuple[datasets.DatasetDict, str | None]:
    dataset = datasets.load_dataset(source.path, source.name, **source.options)
    return dataset, _revision_of(dataset)


def _load_file(source: Source) -> tuple[datasets.DatasetDict, str | None]:
    """A file of a hub dataset: fetched by huggingface_hub, which unlike `datasets` keeps it for runs without internet."""
    try:
        file, revision = hub_file(source.options["data_files"]).fetch()
    except LocalEntryNotFoundError:
        # an EntryNotFoundError too, of a file that can't be asked for: there is no internet
        raise
    except (EntryNotFoundError, RepositoryNotFoundError, RevisionNotFoundError):
        # `datasets` knows more addresses, such as those of repositories without an owner
        return _load(source)
    options = {**source.options, "data_files": glob.escape(file)}
    return datasets.load_dataset(source.path, source.name, **options), revision


def _text_files(source: Source) -> list[Path]:
    return text_files(source.path, source.options.get("data_files"))


def _validate(dataset: object) -> None:
    """Arrow takes text that is no UTF-8, and only the row's reader would find out."""
    for split in dataset.values() if isinstance(dataset, datasets.DatasetDict) else ():
        split.data.validate(full=True)


def _revision_of(dataset: object) -> str | None:
    """The commit of a hub dataset: `datasets` names the folder of its cache by it."""
    splits = dataset.values() if isinstance(dataset, datasets.DatasetDict) else []
    folders = (Path(file["filename"]).parent.name for split in splits for file in split.cache_files)
    return next((name for name in folders if re.fullmatch("[0-9a-f]{40}", name)), None)


def _folder(folder: Path, name: str | None, options: dict, kind: str) -> Source:
    """A local folder, cached by what is in it: `datasets` goes by the folder's README alone and may give old rows."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    state = [(str(file), file.stat().st_size, file.stat().st_mtime_ns) for file in files]
    digest = hashlib.sha256(repr(state).encode()).hexdigest()[:16]
    options["cache_dir"] = str(Path(datasets.config.HF_DATASETS_CACHE) / "skywork_rb_plugin" / digest)
    return Source(str(folder), name, options, f"{kind} {folder}")


def _beside(files, folder: Path | None, root: Path | None):
    """Relative files that exist beside the YAML, made absolute; web addresses as files that the data root has of them."""
    if isinstance(files, Mapping):
        return {split: _beside(value, folder, root) for split, value in files.items()}
    if isinstance(files, list):
        return [_beside(value, folder, root) for value in files]
    if "://" in files:
        copy = root / _below_root(files) if root else None
        if copy and not copy.is_file():
            warning_once(logger, f"The data root {root} has no file {_below_root(files)}: looking elsewhere.")
        return glob.escape(str(copy)) if copy and copy.is_file() else files
    places = [folder / files] if folder is not None else []
    path = next((place for place in [*places, Path(files)] if place.exists()), None)
    if path is None and folder is not None and glob.glob(files, root_dir=folder):
        return str(Path(glob.escape(str(folder))) / files)
    # `datasets` takes names for patterns
    return glob.escape(str(path)) if path else files


def _below_root(address: str) -> str:
    """Where the data root has the copy of a web address."""
    file = hub_file(address)
    return f"{file.repo}/{file.path}" if file else urlparse(address).path.lstrip("/")


def _advice(source: Source, error: Exception, check: str) -> str:
    # `datasets` wraps what went wrong; of an empty file it knows nothing to say
    cause = error.__cause__ or error
    reason = " ".join(str(cause).split()) or "no rows"
    if "utf" in reason.lower() and (line := not_utf8(_text_files(source))):
        return line
    files = source.options.get("data_files")
    found = f"could not load the {source.origin} ({type(cause).__name__}: {textwrap.shorten(reason, 200)})"
    file = hub_file(files)
    if isinstance(files, str) and "://" in files and not file:
        return f"{found}; without internet, put it into DIR/{_below_root(files)} and set {DATA_ROOT}=DIR"
    if not source.origin.startswith("hub"):
        return f"{found}; {check}"
    repo, revision = (file.repo, file.revision) if file else (source.path, source.options.get("revision"))
    command = f"hf download {repo} --repo-type dataset" + (f" --revision {revision}" if revision else "")
    if source.missed:
        return f"{found}; the data root has no {source.missed}: without internet, put there what `{command}` brings where there is some"
    return (
        f"{found}; {check}, or, without internet, run `{command} --local-dir DIR/{repo}` where there is some, and "
        f"set {DATA_ROOT}=DIR"
    )
