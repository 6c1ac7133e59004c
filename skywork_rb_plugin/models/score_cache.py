"""Keeps a score cache (`--use_cache`) to the model that filled it: the host's key knows nothing of the model."""

from collections.abc import Iterable, Mapping, MutableMapping

from skywork_rb_plugin.errors import UserError

_KEY = "skywork_rb_plugin:fingerprint"
_RANKED = "skywork_rb_plugin:ranked tasks"


def claim(database: MutableMapping, fingerprint: Mapping[str, str]) -> None:
    """Mark a new cache as this model's, or check that an old one is.

    Raises:
        UserError: another model filled it, or this one under other settings.
    """
    path = getattr(database, "filename", "the cache")
    stored = database.get(_KEY)
    if stored is None:
        if len(database):
            raise UserError(_refusal(path, "holds scores of unknown origin (another model's?)"))
        database[_KEY] = dict(fingerprint)
        return
    differing = [key for key in {**fingerprint, **stored} if fingerprint.get(key) != stored.get(key)]
    if differing:
        key = differing[0]
        found = f"was made with {key} {stored.get(key)}, this run has {fingerprint.get(key)}"
        if key not in stored:
            found = f"was made by another release of this plugin (it says nothing of the {key})"
        raise UserError(_refusal(path, found))


def ranked_tasks(database: MutableMapping | None) -> set[str] | None:
    """Tasks whose documents were seen whole before; None where no cache holds scores yet."""
    if database is None or _RANKED not in database:
        return None
    return set(database[_RANKED])


def remember_ranked(database: MutableMapping | None, tasks: Iterable[str]) -> None:
    """Note tasks whose documents have several continuations."""
    if database is not None:
        database[_RANKED] = sorted((ranked_tasks(database) or set()) | set(tasks))


def _refusal(path: str, found: str) -> str:
    return f"the cache {path} {found}; give another --use_cache path, or delete that file"
