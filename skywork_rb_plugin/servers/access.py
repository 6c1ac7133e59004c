"""Where a server is and how it may be asked: checked options, and a key that nothing shows."""

import logging
import os
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from skywork_rb_plugin.errors import UserError

logger = logging.getLogger(f"lm_eval.{__name__}")

# the environment variable that a key is taken from
KEY = "REWARD_API_KEY"
# ends of addresses as they are copied from other tools
_ENDS = ("/v1/models", "/v1", "/classify", "/pooling", "/get_reward")
_SHOWN = 300


class ServerError(UserError):
    """The server can't be used, or can't any more; scores that it gave before hold."""


class Refused(ServerError):
    """It will answer no other request either."""


class AnotherModel(Refused):
    """It runs another model than before: scores that it gave meanwhile may be of either."""


@dataclass(frozen=True)
class Access:
    """A server, and how it is asked.

    Attributes:
        root: its address without a path of an API, such as `http://localhost:8000`.
        timeout: seconds for an answer.
        connect_timeout: seconds for a connection.
        max_retries: how often a request is sent again.
        num_concurrent: how many requests may be under way.
        certificates: whether certificates are checked, or the file of the authority that they are checked by.
    """

    root: str
    timeout: float = 300
    connect_timeout: float = 10
    max_retries: int = 5
    num_concurrent: int = 8
    certificates: bool | str = True
    _key: str = field(default="", repr=False)

    @classmethod
    def of(cls, base_url: str, **how) -> "Access":
        """The server at an address, with the key that the environment holds.

        Raises:
            UserError: the address is none, or the key can't be sent.
        """
        root, key = root_of(base_url), os.environ.get(KEY, "").strip()
        if not (key.isascii() and key.isprintable()):
            raise UserError(
                f"found a key in the environment variable {KEY} that can't be sent (it is not shown), expected one line of ASCII"
            )
        host = urlsplit(root).hostname
        if key and root.startswith("http:") and host not in ("localhost", "::1") and not host.startswith("127."):
            logger.warning("The key in %s goes to %s as it is, over http://, where others may read it.", KEY, root)
        return cls(root, _key=key, **how)

    @property
    def headers(self) -> dict[str, str]:
        """What each request carries."""
        key = self._key
        if not key:
            return {}
        return {"Authorization": key if key.startswith(("Basic ", "Bearer ")) else f"Bearer {key}"}

    def key_in_words(self) -> str:
        """Whether one was sent."""
        return f"the one in {KEY} was sent" if self._key else "none was found there"

    def hidden(self, text: str) -> str:
        """The text without the key."""
        for secret in filter(None, (self._key, self._key.partition(" ")[2])):
            text = text.replace(secret, "…")
        return text

    def quoted(self, text: object) -> str:
        """What a server said, as part of a line: one line of limited length, without the key."""
        line = self.hidden(" ".join(str(text).split()))
        return line if len(line) <= _SHOWN else f"{line[:_SHOWN]}…"


def root_of(base_url: object) -> str:
    """The address of a server, without the path of an API at its end.

    Raises:
        UserError: it is no address, or holds a key, which the harness would write into the results file.
    """
    expected = "expected the address of a reward server, such as base_url=http://localhost:8000"
    if not isinstance(base_url, str) or not base_url:
        raise UserError(
            f"found {'no base_url=…' if not base_url else f'base_url={base_url!r}'} in --model_args, {expected}"
        )
    base_url = base_url.strip()
    try:
        url = urlsplit(base_url)
        found = (url.scheme, url.hostname, url.port)
        (url.hostname or "").encode("idna")
    except ValueError as error:
        raise UserError(f"found a base_url that is no address ({error}), {expected}") from error
    if url.username or url.password or url.query or url.fragment or "@" in base_url:
        raise UserError(
            "found a user name, a password, a query or a fragment in base_url=… (it is not shown, since it may be a key; the "
            f"harness writes --model_args into its log and the results file); expected the key in {KEY} in the environment"
        )
    if found[0] not in ("http", "https") or not found[1] or len(base_url.split()) > 1:
        raise UserError(f"found base_url={base_url}, {expected}")
    root = base_url.rstrip("/")
    while end := next(filter(root.endswith, _ENDS), None):
        root = root.removesuffix(end).rstrip("/")
    return root
