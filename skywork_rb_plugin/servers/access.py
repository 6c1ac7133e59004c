"""Where a server is and how it may be asked: checked options, and a key that nothing shows."""

import os
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from skywork_rb_plugin.errors import UserError

# the environment variable that a key is taken from: one of its own, since it goes to any address that is given
KEY = "REWARD_API_KEY"
# ends of addresses as they are copied from other tools
_ENDS = ("/v1/models", "/v1", "/classify", "/pooling", "/get_reward")
_SHOWN = 300


class ServerError(UserError):
    """The server can't be used, or can't any more; scores that it gave before hold."""


class NoAnswer(ServerError):
    """It does not answer, after all tries."""


class AnotherModel(ServerError):
    """It runs another model than before; scores that it gave meanwhile may be that one's."""


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
    _key: str | None = field(default=None, repr=False)

    @classmethod
    def of(cls, base_url: str, **how) -> "Access":
        """The server at an address, with the key that the environment holds.

        Raises:
            UserError: the address or the key is none.
        """
        key = os.environ.get(KEY, "").strip() or None
        if key is not None and not (key.isascii() and key.isprintable()):
            raise UserError(f"found characters in {KEY} that no key has (it is not shown), expected printable ASCII")
        return cls(root_of(base_url), _key=key, **how)

    @property
    def headers(self) -> dict[str, str]:
        """What each request carries."""
        if self._key is None:
            return {}
        return {"Authorization": self._key if self._key.startswith(("Basic ", "Bearer ")) else f"Bearer {self._key}"}

    def key_in_words(self) -> str:
        """Whether a key was sent."""
        return "none was found there" if self._key is None else f"the one in {KEY} was sent"

    def hidden(self, line: str) -> str:
        """The line without the key."""
        for secret in (self._key, self._key.partition(" ")[2]) if self._key else ():
            line = line.replace(secret, "…") if secret else line
        return line

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
    try:
        url = urlsplit(base_url)
        found = (url.scheme, url.hostname, url.port)
        (url.hostname or "").encode("idna")
    except ValueError as error:  # UnicodeError is one
        raise UserError(f"found a base_url that is no address ({error}), {expected}") from error
    if url.username or url.password or url.query or url.fragment or "@" in base_url:
        raise UserError(
            "found a user name, a password, a query or a fragment in base_url=… (it is not shown, since it may be a key; the "
            f"harness writes --model_args into its log and the results file); expected the key in {KEY} in the environment"
        )
    if found[0] not in ("http", "https") or not found[1]:
        raise UserError(f"found base_url={base_url}, {expected}")
    root = base_url.strip().rstrip("/")
    while (shorter := next((root.removesuffix(end) for end in _ENDS if root.endswith(end)), None)) is not None:
        root = shorter.rstrip("/")
    return root
