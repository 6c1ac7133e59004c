"""Which checkpoints a sweep is of: revisions of one model, or the lines of a file."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from skywork_rb_plugin.errors import UserError
from skywork_rb_plugin.host import key_val_to_dict, sanitize_model_name

# arguments of a model that name it, the first that is there
_NAMING = ("pretrained", "model", "path")


@dataclass(frozen=True)
class Checkpoint:
    """A checkpoint.

    Attributes:
        arguments: what is its own of `--model_args`.
    """

    arguments: Mapping[str, object]

    @property
    def name(self) -> str:
        """NAME, or NAME@REVISION, then what else is its own: no two checkpoints have one name."""
        own = dict(self.arguments)
        key = next((key for key in _NAMING if key in own), None)
        name = str(own.pop(key)).rstrip("/") if key else ""
        if "revision" in own:
            name += f"@{own.pop('revision')}"
        return ",".join(filter(None, [name, *(f"{key}={value}" for key, value in own.items())]))

    @property
    def folder(self) -> str:
        """Its name as a folder's, as the host makes one of a model's."""
        return sanitize_model_name(self.name)


def revisions_of(model: object, revisions: Sequence[str]) -> list[Checkpoint]:
    """A model's revisions, a name each, or several with commas between.

    Raises:
        UserError: the model has no name or a revision already, or a revision is there twice.
    """
    given = model if isinstance(model, Mapping) else {}
    if "pretrained" not in given or "revision" in given:
        found = f"revision={given['revision']}" if "revision" in given else "no pretrained="
        raise UserError(f"found {found} in --model_args beside --revisions, expected pretrained=MODEL and no revision")
    names = [name for word in revisions for name in word.split(",") if name]
    # as text: the host would read a revision called 1 as a number
    return _apart([Checkpoint({"pretrained": given["pretrained"], "revision": name}) for name in names], "--revisions")


def read_checkpoints(file: str, model: object) -> list[Checkpoint]:
    """The checkpoints of a file: one a line, as `--model_args` has it, `pretrained=` left out or not; `#` begins a remark.

    Raises:
        UserError: the file can't be read or has none, a line is none, or two are alike or would share a folder.
    """
    try:
        lines = Path(file).read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"--checkpoints: can't read {file} ({getattr(error, 'strerror', None) or error})") from None
    stripped = {number: line.strip() for number, line in enumerate(lines, start=1)}
    found = [_checkpoint(line, f"{file}, line {n}") for n, line in stripped.items() if line and line[0] != "#"]
    if not found:
        raise UserError(f"--checkpoints: found no checkpoint in {file}, expected one a line, such as NAME,revision=1")
    own = {key for one in found for key in one.arguments}
    if twice := sorted(own & set(model if isinstance(model, Mapping) else ())):
        raise UserError(f"found {twice[0]}= in --model_args and in {file}, expected it in one of them")
    return _apart(found, file)


def _checkpoint(line: str, place: str) -> Checkpoint:
    text = line if "=" in line.partition(",")[0] else f"pretrained={line}"
    try:
        if line[0] == "{":
            raise ValueError("JSON")
        given = key_val_to_dict(text)
    except ValueError as error:
        raise UserError(f"{place}: found {line!r:.80} ({error}), expected NAME or NAME,revision=…,key=value") from None
    revision = given.get("revision")
    if revision is not None:
        if f"revision={revision}" not in text and not isinstance(revision, str):
            raise UserError(f"{place}: found a revision that is read as {revision!r}, expected it in quotes")
        given["revision"] = str(revision)
    return Checkpoint(given)


def _apart(found: list[Checkpoint], place: str) -> list[Checkpoint]:
    for what in ("name", "folder"):
        # some disks take capitals for small letters
        name, count = Counter(getattr(one, what).casefold() for one in found).most_common(1)[0]
        if count > 1:
            alike = [one.name for one in found if getattr(one, what).casefold() == name]
            raise UserError(
                f"{place}: found {alike[0]} twice, expected each once"
                if len(set(alike)) == 1
                else f"{place}: found {' and '.join(dict.fromkeys(alike))}, which would share a folder; expected other names"
            )
    return found
