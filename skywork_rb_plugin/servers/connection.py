"""Requests over HTTP: timed out, tried again, cancelled; what can't be helped is one line."""

from __future__ import annotations

import asyncio
import json
import logging
import ssl
import threading
import time
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from concurrent.futures import Future
from dataclasses import dataclass
from datetime import datetime, timezone
from email.utils import parsedate_to_datetime
from types import SimpleNamespace
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

try:
    import aiohttp
    import tenacity
except ModuleNotFoundError:  # of the extra `api`; check_api_options says so
    pass

from skywork_rb_plugin.errors import UserError
from skywork_rb_plugin.servers.access import KEY, Access, Refused, ServerError

logger = logging.getLogger(f"lm_eval.{__name__}")

# what a server in trouble, or one that is starting, answers with
_AWAY = (429, 502, 503, 504)
_PASSING = (*_AWAY, 408, 425, 500, 529)
# seconds before a request is sent again, doubled each time, and at random up to twice that
_FIRST_PAUSE, _LONGEST_PAUSE = 1.0, 30.0
# seconds that a server may ask to wait
_LONGEST_WAIT = 300.0
# seconds between warnings: requests under way fail together
_QUIET = 5.0


@dataclass
class Reply:
    """What a server answered.

    Attributes:
        status: of HTTP, 200 or one that no second try will change.
        content: what its JSON holds; of another status, its text.
        tries: how often it was asked.
        anew: whether it came by a connection that was made for it: perhaps from another server than the one before.
    """

    status: int
    content: object
    tries: int = 1
    anew: bool = False


class _Again(Exception):
    """A request that may fare better later, of the status if there was one: after as many seconds as the server asks for."""

    def __init__(self, what: str, status: int | None = None, seconds: float = 0.0) -> None:
        super().__init__(what)
        self.status, self.seconds = status, seconds


class Connection:
    """A session with a server, in a thread of its own, so that it works inside notebooks and ends at Ctrl-C.

    Args:
        access: the server.
    """

    def __init__(self, access: Access) -> None:
        self.access, self._warned, self._proxy = access, -_QUIET, _proxy_for(access.root)
        self._answered, self._checking, self._checked = False, asyncio.Lock(), 0.0
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="reward server", daemon=True)

    def __enter__(self) -> Connection:
        self._thread.start()
        try:
            self._session = self.start(self._open()).result()
        except BaseException:
            self._stop()
            raise
        return self

    def __exit__(self, *error: object) -> None:
        self.start(self._close()).result()
        self._stop()

    def start(self, coroutine: Coroutine) -> Future:
        """Have a coroutine run in the session's thread; what it raises is one line, without the key."""
        return asyncio.run_coroutine_threadsafe(self._in_one_line(coroutine), self._loop)

    async def _in_one_line(self, coroutine: Coroutine) -> object:
        try:
            return await coroutine
        except UserError as error:
            raise type(error)(self.access.hidden(str(error))) from error
        except Exception as error:
            # what a server says may be too deep for the parser, a number too large, an address too strange
            raise ServerError(
                f"{self.access.root}: {type(error).__name__}: {self.access.quoted(error)}; expected answers of a reward server"
            ) from error

    async def once(self, check: Callable[[], Awaitable[None]], since: float) -> None:
        """Make a check, unless one began after a time (of `time.monotonic`): those that wait for each other share one."""
        async with self._checking:
            if self._checked <= since:
                began = time.monotonic()
                await check()
                self._checked = began

    async def ask(self, path: str, body: object = None) -> Reply:
        """The answer to a POST of `body` as JSON; or to a GET, where a server need not tell anything: then status 404.

        Raises:
            ServerError: there is none, it is no JSON, or the server wants another key.
        """
        late: list[bool] = []

        def hangs(state: tenacity.RetryCallState) -> bool:
            late.append(isinstance(state.outcome.exception().__cause__, asyncio.TimeoutError))
            return sum(late) >= 2

        retrying = tenacity.AsyncRetrying(
            retry=tenacity.retry_if_exception_type(_Again),
            wait=self._pause,
            # a server that hangs is given up after the second time-out
            stop=tenacity.stop_after_attempt(self.access.max_retries + 1) | hangs,
            before_sleep=self._warn,
            reraise=True,
        )
        started = time.monotonic()
        try:
            async for attempt in retrying:
                with attempt:
                    reply = await self._once(path, body)
                    reply.tries = attempt.retry_state.attempt_number
        except _Again as error:
            if body is None and error.status:
                return _told(error.status, "")
            tries = retrying.statistics["attempt_number"]
            raise ServerError(
                f"{self.access.root}{path}: {error} ({tries} {'try' if tries == 1 else 'tries'} in "
                f"{time.monotonic() - started:.0f} s); expected a reward server that answers: is it up, and is base_url its "
                "address? max_retries=… and timeout=… in --model_args give it more time"
            ) from error
        return reply

    async def _once(self, path: str, body: object) -> Reply:
        access, url, connected = self.access, self.access.root + path, []
        try:
            async with self._session.request(
                "GET" if body is None else "POST", url, json=body, allow_redirects=False, trace_request_ctx=connected,
                proxy=self._proxy,
            ) as response:  # fmt: skip
                self._answered = True
                text = await response.text(errors="replace")
        except aiohttp.ClientConnectorCertificateError as error:
            raise ServerError(
                f"{url}: its certificate is not trusted ({access.quoted(error.certificate_error)}); expected "
                "ca_cert_path=FILE of its authority, or verify_certificate=False, in --model_args"
            ) from error
        except aiohttp.ClientSSLError as error:
            raise ServerError(
                f"{url}: found no TLS there ({access.quoted(error)}); expected base_url=http://… if the server has none"
            ) from error
        except asyncio.TimeoutError as error:
            raise _Again(
                f"no answer within {access.timeout:g} s, or no connection within {access.connect_timeout:g}"
            ) from error
        except (aiohttp.ClientError, OSError) as error:
            silent = not self._answered and not isinstance(error, aiohttp.ClientConnectorError)
            tls = "; does it speak TLS (https://)?" if silent and access.root.startswith("http:") else ""
            raise _Again(f"{type(error).__name__}: {access.quoted(error)}{tls}") from error
        if body is None and response.status not in (401, *_AWAY):
            return _told(response.status, text)
        reply = self._judged(url, response.status, response.headers, text)
        reply.anew = bool(connected)
        return reply

    def _judged(self, url: str, status: int, headers: Mapping[str, str], text: str) -> Reply:
        said = f"found status {status} with {self.access.quoted(text)!r}"
        if status in _PASSING:
            seconds = _seconds(headers.get("Retry-After"))
            if seconds > _LONGEST_WAIT:
                raise ServerError(
                    f"{url}: {said}, which asks to wait for {seconds:.0f} s, expected a server with room: go on later"
                )
            raise _Again(said, status, seconds)
        if status in (401, 403):
            raise Refused(
                f"{url}: {said}, expected its key in the environment variable {KEY} ({self.access.key_in_words()})"
            )
        if 300 <= status < 400:
            raise ServerError(
                f"{url}: found a redirection to {self.access.quoted(headers.get('Location'))!r}, expected the server itself: "
                "give base_url=… as it is there"
            )
        if status != 200:
            return Reply(status, text)
        if "html" in headers.get("Content-Type", ""):
            raise ServerError(
                f"{url}: found an HTML page, {self.access.quoted(text)[:80]!r}, expected JSON: is base_url the reward server's "
                "address, or that of something before it?"
            )
        try:
            return Reply(status, json.loads(text))
        except ValueError as error:
            raise _Again(f"found no JSON but {self.access.quoted(text)[:80]!r}") from error

    def _pause(self, state: tenacity.RetryCallState) -> float:
        own = tenacity.wait_random_exponential(_FIRST_PAUSE, _LONGEST_PAUSE, min=_FIRST_PAUSE)(state)
        return max(own, state.outcome.exception().seconds)

    def _warn(self, state: tenacity.RetryCallState) -> None:
        if time.monotonic() - self._warned > _QUIET:
            self._warned = time.monotonic()
            logger.warning(
                "%s: %s; asking again in %.0f s (%d of %d times).",
                self.access.root, state.outcome.exception(), state.next_action.sleep, state.attempt_number,
                self.access.max_retries,
            )  # fmt: skip

    async def _open(self) -> aiohttp.ClientSession:
        """Raises ServerError where the authority's file can't be read."""
        checked = self.access.certificates
        if isinstance(checked, str):
            try:
                checked = ssl.create_default_context(cafile=checked)
            except OSError as error:
                raise ServerError(
                    f"can't read ca_cert_path={checked} ({error}), expected the certificate of an authority, in PEM"
                ) from error
        tracing = aiohttp.TraceConfig()
        tracing.on_connection_create_end.append(_note_connection)
        return aiohttp.ClientSession(
            trace_configs=[tracing],
            connector=aiohttp.TCPConnector(limit=self.access.num_concurrent, ssl=checked),
            timeout=aiohttp.ClientTimeout(total=self.access.timeout, sock_connect=self.access.connect_timeout),
            headers=self.access.headers,
        )

    async def _close(self) -> None:
        running = asyncio.all_tasks() - {asyncio.current_task()}
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)
        await self._session.close()

    def _stop(self) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()


async def _note_connection(session: aiohttp.ClientSession, context: SimpleNamespace, params: object) -> None:
    context.trace_request_ctx.append(params)


def _told(status: int, text: str) -> Reply:
    """What a server tells of itself."""
    try:
        return Reply(200, json.loads(text)) if status == 200 else Reply(404, None)
    except ValueError:
        return Reply(404, None)


def _proxy_for(root: str) -> str | None:
    """The proxy that the environment names for an address (HTTP_PROXY, NO_PROXY, …)."""
    url = urlsplit(root)
    return None if proxy_bypass(url.hostname) else getproxies().get(url.scheme)


def _seconds(retry_after: str | None) -> float:
    """Of the header Retry-After, which holds seconds or a date; 0 where there is none that is either."""
    if retry_after is None:
        return 0.0
    try:
        return max(0.0, float(retry_after))
    except ValueError:
        pass
    try:
        return max(0.0, (parsedate_to_datetime(retry_after) - datetime.now(timezone.utc)).total_seconds())
    except (TypeError, ValueError):
        return 0.0
