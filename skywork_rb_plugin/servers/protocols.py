"""What reward servers speak: one entry each, by name."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field

from skywork_rb_plugin.errors import UserError
from skywork_rb_plugin.servers.connection import Reply

# asks for a path
Ask = Callable[[str], Awaitable[Reply]]
# token ids of a conversation, or its text
Input = Sequence[int] | str


@dataclass(frozen=True)
class Served:
    """What a server says it runs.

    Attributes:
        model: the model's name; None where the server tells none.
        root: the folder or hub name that the model was loaded from.
        told: what else decides scores, in words.
        length: tokens that it takes.
        names: all that the model goes by.
    """

    model: str | None = None
    root: str | None = None
    told: Mapping[str, str] = field(default_factory=dict)
    length: int | None = None
    names: frozenset[str] = frozenset()

    def differences(self, before: "Served") -> list[str]:
        """What is said otherwise than before, in words; not what is left out."""
        now, then = ({"model": one.model, "root": one.root, **one.told} for one in (self, before))
        return [
            f"{key} {now[key]}, not {then[key]}"
            for key in now
            if None not in (then.get(key), now[key]) and now[key] != then[key]
        ]


@dataclass(frozen=True)
class Answer:
    """Scores as a server gave them.

    Attributes:
        rows: of each conversation, in the order of the request, its numbers: one for each label; or, of a server that pools
            nothing, for each token such a list.
        model: the model that it names in its answer.
        tokens: that it read.
    """

    rows: list
    model: str | None = None
    tokens: int | None = None


@dataclass(frozen=True)
class Protocol:
    """A way to ask for rewards.

    Attributes:
        path: where requests go.
        body: makes one of conversations, the model's name and whether an activation is wanted.
        read: makes an Answer of the JSON that comes back; KeyError, TypeError and the like where it is of another shape.
        serves: what the server runs, of a model's name if one is wanted.
        owner: what the server calls itself in `/v1/models`.
        as_text: whether it takes texts and no token ids.
        switches: whether it leaves the activation out on demand.
        length: tokens that it takes unless it is told otherwise, where it does not say.
    """

    path: str
    body: Callable[[Sequence[Input], str | None, bool], dict]
    read: Callable[[object], Answer]
    serves: Callable[[Ask, str | None], Awaitable[Served]]
    owner: str | None = None
    as_text: bool = False
    switches: bool = False
    length: int | None = None


# vLLM: vllm/entrypoints/pooling/{base,classify,pooling}/protocol.py, openai/models/serving.py (0.32.0)


def _vllm_body(inputs: Sequence[Input], model: str | None, activation: bool) -> dict:
    """Both names that releases have had for the switch; each ignores the one that it does not know."""
    named = {} if model is None else {"model": model}
    return {**named, "input": inputs, "use_activation": activation, "activation": activation}


def _vllm_answer(content: Mapping, key: str) -> Answer:
    """Entries have an index."""
    entries = sorted(content["data"], key=lambda entry: entry["index"])
    if [entry["index"] for entry in entries] != list(range(len(entries))):
        raise ValueError("indices that are not 0, 1, 2, …")
    usage = content.get("usage") or {}
    return Answer([entry[key] for entry in entries], content.get("model"), usage.get("prompt_tokens"))


async def _vllm_serves(ask: Ask, wanted: str | None) -> Served:
    """A model may have several names, of which each answer has the first; adapters are models with a parent.

    Raises:
        UserError: the model is not there, or there are several and none is wanted.
    """
    models, version = await ask("/v1/models"), await ask("/version")
    listed = _of(models, "data")
    cards = {card["id"]: card for card in listed if isinstance(card["id"], str)} if isinstance(listed, list) else {}
    if not cards:  # a gateway before it
        return Served(wanted)
    of_one = len({(card.get("root"), card.get("parent")) for card in cards.values()}) == 1
    if wanted not in cards and (wanted or not of_one):
        found = f"model={wanted}" if wanted else "no model=…"
        raise UserError(f"found {found} in --model_args, expected one that the server has: {', '.join(cards)}")
    name = wanted or next(iter(cards))
    card, told = cards[name], {"server": _of(version, "version") and f"vLLM {_of(version, 'version')}"}
    root, parent = (card.get(key) or None if isinstance(card.get(key), str) else None for key in ("root", "parent"))
    same = frozenset(one for one, other in cards.items() if (other.get("root"), other.get("parent")) == (root, parent))
    length = next(filter(_is_length, (one.get("max_model_len") for one in (card, cards.get(parent, {})))), None)
    return Served(name, root, _stated({"parent": parent, **told}), length, same | {name})


# SGLang: python/sglang/srt/entrypoints/http_server.py (classify_request, get_model_info, get_server_info),
# managers/io_struct.py (EmbeddingReqInput), managers/utils.py (validate_input_length)


def _sglang_answer(content: Sequence[Mapping]) -> Answer:
    counts = [entry.get("meta_info", {}).get("prompt_tokens") for entry in content]
    return Answer([entry["embedding"] for entry in content], tokens=None if None in counts else sum(counts))


# what it tells of the way in which it computes
_SGLANG_SETTINGS = (
    "revision", "dtype", "quantization", "lora_paths", "json_model_override_args", "torchao_config", "kv_cache_dtype",
    "load_format",
)  # fmt: skip


async def _sglang_serves(ask: Ask, wanted: str | None) -> Served:
    """Newer releases have other names for what they tell of themselves."""
    model, server = (
        await _first(ask, "/model_info", "/get_model_info"),
        await _first(ask, "/server_info", "/get_server_info"),
    )
    path, name = (
        value if isinstance(value, str) else None
        for value in (_of(model, "model_path"), _of(server, "served_model_name"))
    )
    if wanted not in (None, path, name) and (path or name):
        raise UserError(f"found model={wanted} in --model_args, expected what the server has: {name or path}")
    told = {key: _of(server, key) for key in _SGLANG_SETTINGS}
    told |= {
        "weight_version": _of(model, "weight_version"),
        "server": _of(server, "version") and f"SGLang {_of(server, 'version')}",
    }
    longest = _of(server, "max_req_input_len")  # itself one too many
    return Served(name or path or wanted, path, _stated(told), longest - 1 if _is_length(longest) else None)


# OpenRLHF: openrlhf/cli/serve_rm.py


async def _openrlhf_serves(ask: Ask, wanted: str | None) -> Served:
    """It tells nothing of itself."""
    return Served(wanted)


PROTOCOLS = {
    "vllm-classify": Protocol(
        "/classify", _vllm_body, lambda content: _vllm_answer(content, "probs"), _vllm_serves, owner="vllm", switches=True
    ),
    "vllm-pooling": Protocol(
        "/pooling", _vllm_body, lambda content: _vllm_answer(content, "data"), _vllm_serves, owner="vllm", switches=True
    ),
    "sglang": Protocol(
        "/classify", lambda inputs, model, activation: {"input_ids": inputs}, _sglang_answer, _sglang_serves,
        owner="sglang",
    ),
    "openrlhf": Protocol(
        "/get_reward", lambda inputs, model, activation: {"query": inputs},
        lambda content: Answer([[reward] for reward in content["rewards"]]), _openrlhf_serves, as_text=True, length=2048,
    ),
}  # fmt: skip


async def _first(ask: Ask, *paths: str) -> Reply:
    """What the first of these paths gives that is there."""
    for path in paths:
        reply = await ask(path)
        if reply.status == 200:
            return reply
    return reply


def _of(reply: Reply, key: str) -> object:
    return reply.content.get(key) if reply.status == 200 and isinstance(reply.content, Mapping) else None


def _is_length(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value > 1


def _stated(told: Mapping[str, object]) -> dict[str, str]:
    return {key: str(value) for key, value in told.items() if value not in (None, "", [], {})}
