"""Known reward models, from known_models.yaml: what their authors recommend, and which numbers were published of them."""

import functools
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields
from importlib.resources import files

import yaml

from skywork_rb_plugin.conversations import Message
from skywork_rb_plugin.heads.naming import hub_name

_COMMIT = re.compile(r"[0-9a-f]{7,40}")
# settings that scores are published with
_PUBLISHED_WITH = ("max_length", "dtype", "attention")


@dataclass(frozen=True)
class Source:
    """Where something was read: a repository and file, a card or an issue; and when it was published or copied."""

    what: str
    date: str
    settings: Mapping[str, object] = field(default_factory=dict)

    def __str__(self) -> str:
        """In words."""
        return f"{self.what}, {self.date}" if self.date else self.what


@dataclass(frozen=True)
class Settings:
    """What a model's authors recommend; None: they say nothing.

    Attributes:
        source: where they do.
        max_length: tokens.
        system_prompt: its text; `none`: prompts go without one; empty: a system turn without text.
        dtype: a name of torch's.
        not_attention: an `attn_implementation` that changes the model's rewards.
    """

    source: Source
    max_length: int | None = None
    system_prompt: str | None = None
    dtype: str | None = None
    not_attention: str | None = None


@dataclass(frozen=True)
class Published:
    """A published score.

    Attributes:
        source: where.
        score: in percent; None where only sections were published.
        sections: their scores in percent, by the names of the group's members without the group's.
        settings: `max_length` and the like that it was published with, by their names in `Used`.
    """

    source: Source
    score: float | None = None
    sections: Mapping[str, float] = field(default_factory=dict)
    settings: Mapping[str, object] = field(default_factory=dict)


@dataclass(frozen=True)
class KnownReward:
    """The reward of a conversation, as published: in a dtype, within a tolerance for other kernels."""

    conversation: tuple[Message, ...]
    reward: float
    dtype: str
    tolerance: float
    source: Source


@dataclass(frozen=True)
class KnownModel:
    """One model.

    Attributes:
        name: on the hub.
        family: name of the head that reads it; None: no head does.
        licence: None where it was not seen.
        settings: what its authors recommend, if anything.
        published: scores by the name of the group that computes them.
        rewards: known rewards.
        notes: what else decides its rewards, in words, for the log.
    """

    name: str
    family: str | None
    licence: str | None = None
    settings: Settings | None = None
    published: Mapping[str, Published] = field(default_factory=dict)
    rewards: tuple[KnownReward, ...] = ()
    notes: str = ""


def read(text: str) -> dict[str, KnownModel]:
    """The records of a file like known_models.yaml, by name.

    Raises:
        ValueError: an unknown key, a key or a source that is missing, or a number that is none.
    """
    table = yaml.load(text, getattr(yaml, "CSafeLoader", yaml.SafeLoader))
    _check("the file", table, ("sources", "models"), ("conversations",))
    sources = {}
    for name, config in table["sources"].items():
        _check(f"source {name}", config, ("what", "date"), ("settings",))
        _check(f"source {name}, settings", config.get("settings") or {}, (), _PUBLISHED_WITH)
        sources[name] = Source(config["what"], str(config["date"] or ""), config.get("settings") or {})
    conversations = {name: tuple(messages) for name, messages in (table.get("conversations") or {}).items()}
    return {name: _model(name, config, sources, conversations) for name, config in table["models"].items()}


@functools.cache
def known_models() -> Mapping[str, KnownModel]:
    """The packaged records, by name."""
    return read((files(__package__) / "known_models.yaml").read_text(encoding="utf-8"))


def find(names: Iterable[str], revision: str | None = None) -> KnownModel | None:
    """The record of a checkpoint; None where there is none.

    Args:
        names: what it is called: a hub name, a folder whose last two parts are one, or a folder of the hub's cache.
        revision: as given; a branch beside `main` holds other weights, of which nothing is known.
    """
    if revision not in (None, "main") and not _COMMIT.fullmatch(str(revision)):
        return None
    table = {name.casefold(): model for name, model in known_models().items()}
    for name in names:
        if found := table.get(hub_name(name).casefold()):
            return found
    return None


def _model(name: str, config: Mapping, sources: Mapping, conversations: Mapping) -> KnownModel:
    _check(name, config, ("family", "licence"), [one.name for one in fields(KnownModel) if one.name != "name"])

    def record(kind: type, where: str, given: Mapping, required: tuple[str, ...]):
        _check(f"{name}, {where}", given, ("source", *required), [one.name for one in fields(kind)])
        if given["source"] not in sources:
            raise ValueError(f"{name}, {where}: found source {given['source']!r}, expected one of {', '.join(sources)}")
        return {**given, "source": sources[given["source"]]}

    settings = config.get("settings")
    published = {}
    for benchmark, given in (config.get("published") or {}).items():
        values = record(Published, benchmark, given, ())
        _check(f"{name}, {benchmark}, settings", given.get("settings") or {}, (), _PUBLISHED_WITH)
        values["settings"] = {**values["source"].settings, **(given.get("settings") or {})}
        numbers = [*([given["score"]] if "score" in given else []), *(given.get("sections") or {}).values()]
        if not numbers or not all(isinstance(number, (int, float)) and -100 <= number <= 100 for number in numbers):
            raise ValueError(f"{name}, {benchmark}: found {numbers}, expected scores in percent")
        published[benchmark] = Published(**values)
    rewards = []
    for given in config.get("rewards") or ():
        values = record(KnownReward, "rewards", given, ("conversation", "reward", "dtype", "tolerance"))
        if given["conversation"] not in conversations:
            raise ValueError(f"{name}: found conversation {given['conversation']!r}, expected one of the file's")
        rewards.append(KnownReward(**{**values, "conversation": conversations[given["conversation"]]}))
    return KnownModel(
        **{
            **config,
            "name": name,
            "settings": Settings(**record(Settings, "settings", settings, ())) if settings else None,
            "published": published,
            "rewards": tuple(rewards),
        }
    )


def _check(where: str, found: Mapping, required: Iterable[str], allowed: Iterable[str]) -> None:
    if missing := [key for key in required if key not in found]:
        raise ValueError(f"{where}: found no {', '.join(missing)}")
    known = dict.fromkeys((*required, *allowed))
    if unknown := [str(key) for key in found if key not in known]:
        raise ValueError(f"{where}: found {', '.join(unknown)}, expected only {', '.join(known)}")
