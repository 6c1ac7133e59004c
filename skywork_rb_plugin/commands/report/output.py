"""Files that the command writes: never half, and never over what it has not made."""

import contextlib
import os
import tempfile
from collections.abc import Callable
from pathlib import Path

from skywork_rb_plugin.errors import UserError


def check_output(option: str, file: str, is_ours: Callable[[str], bool]) -> None:
    """Find out before any work whether a file can be written.

    Args:
        option: the flag that named it.
        file: its name.
        is_ours: whether a text is as the command wrote it: others are not written over.

    Raises:
        UserError: it is a folder, its folder does not exist or can't be written to, or it holds something else.
    """
    path = Path(file)
    try:
        found = _in_the_way(path, is_ours)
    # a name with a NUL is a ValueError
    except (OSError, ValueError) as error:
        raise _not_written(option, file, error) from error
    if found:
        raise UserError(f"{option} {file}: found {found}")


def _in_the_way(path: Path, is_ours: Callable[[str], bool]) -> str | None:
    with contextlib.suppress(FileNotFoundError):
        path.stat()  # links may go in a circle
    if path.is_dir() or not path.parent.is_dir():
        found = "a folder" if path.is_dir() else f"no folder {path.parent}"
        return f"{found}, expected the name of a file in a folder that exists"
    if not os.access(path.parent, os.W_OK):
        return f"no permission to write in {path.parent}, expected another folder"
    # of what is no plain file, such as /dev/stdout, nothing is lost
    if path.is_file() and path.stat().st_size and not is_ours(path.read_text(encoding="utf-8", errors="replace")):
        return "a file that is no earlier report of this command, or was changed since, and would be lost; expected another name"
    return None


def write(option: str, file: str, text: str) -> None:
    """Write a file as a whole: it appears, or is replaced, when it is complete.

    Raises:
        UserError: it can't be written.
    """
    path, temporary = Path(file), None
    try:
        if path.exists() and not path.is_file():
            path.write_text(text, encoding="utf-8")
            return
        # beside a link's target, so that the link stays
        path = path.resolve()
        with tempfile.NamedTemporaryFile(
            "w", encoding="utf-8", newline="\n", dir=path.parent, prefix=f".{path.name[:50]}.", delete=False
        ) as made:
            temporary = made.name
            made.write(text)
        os.chmod(temporary, path.stat().st_mode & 0o777 if path.exists() else 0o666 & ~_umask())
        os.replace(temporary, path)
    except OSError as error:
        raise _not_written(option, file, error) from error
    finally:
        if temporary:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(temporary)


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def _not_written(option: str, file: str, error: Exception) -> UserError:
    return UserError(f"can't write {option} {file}: {getattr(error, 'strerror', None) or error}; expected another name")
