"""Keeps a score cache (`--use_cache`) to the model that filled it: the host's key knows nothing of the model."""

import hashlib
import json
import logging
import sqlite3
from collections.abc import Iterable, Iterator, Mapping, MutableMapping
from contextlib import contextmanager

from skywork_rb_plugin.conversations import Reward
from skywork_rb_plugin.errors import UserError
from skywork_rb_plugin.rendering.prompted import Prompted
from skywork_rb_plugin.servers.scale import alike

_KEY = "skywork_rb_plugin:fingerprint"
_RANKED = "skywork_rb_plugin:ranked tasks"
_POLICY = "skywork_rb_plugin:policy"
# the name, in a fingerprint, of scores by which a served model is known again: JSON numbers
SAMPLE = "sample of scores"
_MIXED = "of two models: another one answered in the middle of a run"
# what a cache holds beside answers
OWN_KEYS = frozenset({_KEY, _RANKED})


def claim(database: MutableMapping, fingerprint: Mapping[str, str]) -> None:
    """Mark a new cache as this model's, or check that an old one is.

    Raises:
        UserError: another model filled it, or this one under other settings.
    """
    path = _path(database)
    stored = database.get(_KEY)
    if stored is None:
        if len(database):
            raise UserError(_refusal(path, "holds scores of unknown origin (another model's?)"))
        database[_KEY] = dict(fingerprint)
        return
    if not isinstance(stored, Mapping):
        raise UserError(_refusal(path, f"is of unknown origin (found {stored!r} for its model)"))
    differing = [key for key in {**fingerprint, **stored} if not same(key, stored.get(key), fingerprint.get(key))]
    if differing:
        key = differing[0]
        found = f"was made with {key} {stored.get(key)}, this run has {fingerprint.get(key)}"
        if key not in stored:
            found = f"was made by another release of this plugin (it says nothing of the {key})"
        raise UserError(_refusal(path, found))


def same(name: str, before: str | None, now: str | None) -> bool:
    """Whether an entry of a fingerprint is what it was; a sample of scores may differ by rounding."""
    if name != SAMPLE or _MIXED in (before, now) or None in (before, now):
        return before == now
    return alike(json.loads(before), json.loads(now))


def mixed(fingerprint: Mapping[str, str]) -> dict[str, str]:
    """A fingerprint that is no model's, of scores that may be of two."""
    return {**fingerprint, SAMPLE: _MIXED}


def disown(database: MutableMapping) -> None:
    """Mark a cache so that no run goes on from it."""
    database[_KEY] = mixed(database[_KEY])


@contextmanager
def in_use(database: MutableMapping | None) -> Iterator[None]:
    """Use a cache, and wait until it has written everything.

    Raises:
        UserError: it can't be read or written, as on a full disk; what it holds already is kept.
    """
    # it writes in a thread of its own, which logs pages of each error; the next call raises the error itself
    logging.getLogger("sqlitedict").setLevel(logging.CRITICAL)
    try:
        yield
        if hasattr(database, "commit"):
            database.commit()
            database.commit()
    except sqlite3.Error as error:
        raise UserError(
            f"can't write the cache {_path(database)} ({error}); what it holds already is kept: {remedy(error)}, and the "
            "same command goes on from there"
        ) from error


def remedy(error: Exception) -> str:
    """What to do about a file that can't be written."""
    if "is locked" in str(error):  # Python 3.10 has no code of it
        return "another run uses the file: wait for its end"
    return "make room or make it and its folder writable"


def ranked_tasks(database: MutableMapping | None) -> set[str] | None:
    """Tasks whose documents were seen whole before; None where no cache holds scores yet."""
    if database is None or _RANKED not in database:
        return None
    return set(database[_RANKED])


def remember_ranked(database: MutableMapping | None, tasks: Iterable[str]) -> None:
    """Note tasks whose documents have several continuations."""
    if database is not None:
        database[_RANKED] = sorted((ranked_tasks(database) or set()) | set(tasks))


class PolicyScores:
    """Scores of the first of two models in a cache, which are half of a reward and no answer to a request.

    Args:
        database: the cache; its fingerprint is of both models.
    """

    def __init__(self, database: MutableMapping) -> None:
        self._database = database

    def get(self, text: Prompted) -> float | None:
        """The score of a conversation, if it is there."""
        return self._database.get(self._key(text), (None,))[0]

    def update(self, scores: Mapping[Prompted, float]) -> None:
        """Keep scores."""
        # of an answer's shape, by which the file is known
        self._database.update({self._key(text): (Reward(score), False) for text, score in scores.items()})

    def _key(self, text: Prompted) -> str:
        return f"{_POLICY}:{text_hash(text)}"


def text_hash(text: str) -> str:
    """A hash of a rendered conversation, and of where its response begins if that is known."""
    # half a character is refused by the tokenizer, which knows the line for it
    key = f"{len(getattr(text, 'prompt', ''))} {text}".encode(errors="surrogatepass")
    return hashlib.sha256(key).hexdigest()


def _path(database: MutableMapping | None) -> str:
    return getattr(database, "filename", "of this run")


def _refusal(path: str, found: str) -> str:
    return f"the cache {path} {found}; give another --use_cache path, or delete that file"
