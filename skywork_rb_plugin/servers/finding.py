"""Which protocol a server speaks, found out by asking it."""

from skywork_rb_plugin.errors import UserError
from skywork_rb_plugin.servers.access import ServerError
from skywork_rb_plugin.servers.connection import Connection, Reply
from skywork_rb_plugin.servers.protocols import PROTOCOLS, Served

# a conversation of two tokens that every vocabulary has
_TRIED_IDS, _TRIED_TEXT = [[1, 2]], ["a"]


async def find_protocol(connection: Connection, wanted: str | None, model: str | None) -> tuple[str, Served]:
    """The name of the first protocol that the server answers in, and what it runs.

    Args:
        connection: to the server.
        wanted: the protocol of `--model_args`, or None for any.
        model: the model's name of `--model_args`.

    Raises:
        UserError: it speaks none of them, or has no such model; the line says what was tried.
    """
    tried = {}
    for name in [wanted] if wanted else _candidates(await connection.ask("/v1/models")):
        protocol = PROTOCOLS[name]
        try:
            served = await protocol.serves(connection.ask, model)
        except (LookupError, TypeError, AttributeError) as error:
            tried[name] = (
                f"{protocol.path} not asked, since what the server says of itself is of another shape ({error!r})"
            )
            continue
        trial = _TRIED_TEXT if protocol.as_text else _TRIED_IDS
        reply = await connection.ask(protocol.path, protocol.body(trial, served.model, False))
        try:
            if reply.status == 200 and len(protocol.read(reply.content).rows) == 1:
                return name, served
        except (LookupError, TypeError, AttributeError, ValueError):
            pass
        tried[name] = (
            f"{protocol.path} gave status {reply.status} with {connection.access.quoted(reply.content)[:150]!r}"
        )
    said = "; ".join(f"{name}: {what}" for name, what in tried.items())
    raise ServerError(
        f"{connection.access.root}: found no reward server ({said}); expected one of the protocols {', '.join(PROTOCOLS)}: is "
        "base_url right, and is it a reward model's server (vLLM with --runner pooling, SGLang with --is-embedding)?"
    )


def _candidates(models: Reply) -> list[str]:
    """Protocols of what the server calls itself; where it has no name, or none that is known, all."""
    try:
        owner = models.content["data"][0]["owned_by"]
    except (LookupError, TypeError):
        owner = None
    return [name for name, protocol in PROTOCOLS.items() if protocol.owner == owner and owner] or list(PROTOCOLS)


def check_protocol(protocol: object) -> None:
    """Refuse a name that is none.

    Raises:
        UserError: names those that there are.
    """
    if protocol is not None and (not isinstance(protocol, str) or protocol not in PROTOCOLS):
        raise UserError(
            f"found protocol={protocol} in --model_args, expected one of {', '.join(PROTOCOLS)}, or none to find it out"
        )
