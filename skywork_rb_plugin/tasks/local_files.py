"""Local files of a dataset that `datasets` does not say enough of, or that end the process: text that is no UTF-8, null."""

import glob
from collections.abc import Mapping, Sequence
from pathlib import Path

# a file's ending -> what `datasets` calls the format
FORMATS = {".jsonl": "json", ".json": "json", ".parquet": "parquet", ".csv": "csv"}


def text_files(path: str, data_files: object) -> list[Path]:
    """The files of text that `load_dataset(path, data_files=…)` would read, of those that are on this machine."""
    # a format's name means the format, whatever folder has that name
    folder = path not in FORMATS.values() and Path(path).is_dir()
    patterns = [f"{glob.escape(path)}/**"] if folder else _flat(data_files)
    files = (Path(name) for pattern in patterns for name in sorted(glob.glob(pattern, recursive=True)))
    return [file for file in files if FORMATS.get(file.suffix) in ("json", "csv") and file.is_file()]


def begins_with_null(files: Sequence[Path]) -> str | None:
    """A line about the first JSON file whose first value is null, which pyarrow 26 reads as a fault of memory; or None."""
    for file in files:
        with file.open("rb") as content:
            if FORMATS[file.suffix] == "json" and content.read(1000).split(maxsplit=1)[:1] == [b"null"]:
                return f"found null at the beginning of {file}, expected rows such as {{…}}: leave it out of the file"
    return None


def not_utf8(files: Sequence[Path]) -> str | None:
    """A line about the first byte that is no UTF-8; None if there is none."""
    for file in files:
        with file.open("rb") as lines:
            for number, line in enumerate(lines, 1):
                try:
                    line.decode()
                except UnicodeDecodeError as error:
                    found = f"found a byte that is no UTF-8 in line {number} of {file} ({error.reason}: {line[error.start]:#x})"
                    return f"{found}, expected UTF-8: save the file so, or name its encoding in `dataset_kwargs: {{encoding: …}}`"
    return None


def _flat(files: object) -> list[str]:
    """The names in `data_files`."""
    if isinstance(files, Mapping):
        return [name for value in files.values() for name in _flat(value)]
    return [files] if isinstance(files, str) else list(files or [])
