"""The file of a score cache (`--use_cache`), looked at before the host opens it and believes what it says."""

import io
import pickle
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

from skywork_rb_plugin.conversations import Reward, kept_reward
from skywork_rb_plugin.errors import UserError
from skywork_rb_plugin.models.score_cache import OWN_KEYS, remedy

# the host's, by way of sqlitedict
_TABLE = "unnamed"

# by path: size in bytes and time of the last change, in nanoseconds, of files as they were found fine
_found_fine: dict[str, tuple[int, int]] = {}


def check_file(path: str, again: bool = True) -> None:
    """Refuse a file that the host could not use, or should not: 100,000 answers are read in 0.6 s.

    Args:
        path: of the file, which is made if it is not there.
        again: whether to read the answers also where the file has not changed since they were found fine.

    Raises:
        UserError: it is damaged or another program's, or holds something else than answers, or can't be written.
    """
    keep_apart = "give another --use_cache path, or delete that file"
    try:
        Path(path).parent.mkdir(parents=True, exist_ok=True)  # as the host does
        with closing(sqlite3.connect(path, isolation_level=None)) as connection:
            connection.text_factory = bytes
            is_known = not again and _found_fine.get(path) == _state(path)
            if not is_known and (found := _fault(connection)):
                raise UserError(f"the cache {path} {found}; {keep_apart}")
            # the host's own first write, and one that needs a journal beside the file
            connection.execute("BEGIN IMMEDIATE")
            connection.execute(f"CREATE TABLE IF NOT EXISTS {_TABLE} (key TEXT PRIMARY KEY, value BLOB)")
            connection.execute("PRAGMA user_version = 0")
            connection.execute("COMMIT")
        _found_fine[path] = _state(path)
    except (OSError, sqlite3.OperationalError) as error:
        raise UserError(
            f"can't write the cache {path} ({error}); {remedy(error)}, or give another --use_cache path"
        ) from error
    # SQLite's own message quotes what is damaged, which may be no UTF-8
    except (sqlite3.DatabaseError, UnicodeDecodeError) as error:
        raise UserError(f"the cache {path} is damaged or no cache ({error}); {keep_apart}") from error


def _state(path: str) -> tuple[int, int]:
    stat = Path(path).stat()
    return stat.st_size, stat.st_mtime_ns


def _fault(connection: sqlite3.Connection) -> str | None:
    """What is wrong with a database, in words."""
    # the quick one does not see an index that leads from a key to another's answer
    [[state]] = connection.execute("PRAGMA integrity_check(1)")
    if state != b"ok":
        return f"is damaged ({' '.join(state.decode(errors='replace').split())})"
    tables = [name.decode(errors="replace") for [name] in connection.execute("SELECT name FROM sqlite_master")]
    if not tables:
        return None
    columns = [row[1] for row in connection.execute(f"PRAGMA table_info({_TABLE})")]
    if columns != [b"key", b"value"]:
        return f"is another program's: it has {', '.join(tables[:3])}, expected a table {_TABLE} of keys and values"
    for key, kind, value in connection.execute(f"SELECT key, typeof(value), value FROM {_TABLE}"):
        if found := _no_answer(key, kind, value):
            return f"has an entry {(key or b'').decode(errors='replace')[:80]!r} that is no answer of a reward model ({found})"
    return None


def _no_answer(key: bytes, kind: bytes, value: bytes) -> str | None:
    if kind != b"blob":
        return f"{kind.decode()} instead of a pickle"
    try:
        answer = _Answers(io.BytesIO(value)).load()
    except Exception as error:
        # bytes that are no pickle raise all kinds
        return f"{type(error).__name__}: {' '.join(str(error).split())[:80]}"
    if key in map(str.encode, OWN_KEYS) or (
        isinstance(answer, tuple) and len(answer) == 2 and isinstance(answer[0], float)
    ):
        return None
    return f"{type(answer).__name__} {str(answer)[:40]!r}"


class _Answers(pickle.Unpickler):
    """Makes rewards of a pickle and nothing else: a pickle can name any function to call."""

    def find_class(self, module: str, name: str) -> Callable[..., Reward]:
        """What makes a reward: the class alone where a release without checksums wrote it.

        Raises:
            UnpicklingError: another name is asked for.
        """
        for known in (kept_reward, Reward):
            if (module, name) == (known.__module__, known.__qualname__):
                return known
        raise pickle.UnpicklingError(f"it names {module}.{name}")
