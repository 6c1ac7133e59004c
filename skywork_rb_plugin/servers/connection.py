"""Requests over HTTP: timed out, tried again, cancelled; what can't be helped is one line."""

from __future__ import annotations

import asyncio
import json
import logging
import ssl
import threading
import time
from collections.abc import Coroutine, Mapping
from concurrent.futures import Future
from dataclasses import dataclass
from datetime import datetime, timezone
from email.utils import parsedate_to_datetime
from types import SimpleNamespace

try:
    import aiohttp
    import tenacity
except ModuleNotFoundError:  # of the extra `api`; check_api_options says so
    pass

from skywork_rb_plugin.servers.access import KEY, Access, NoAnswer, ServerError

logger = logging.getLogger(f"lm_eval.{__name__}")

# what a server in trouble, or one that is starting, answers with
_PASSING = (408, 425, 429, 500, 502, 503, 504, 529)
# seconds before a request is sent again, doubled each time, and at random up to twice that
_FIRST_PAUSE, _LONGEST_PAUSE = 1.0, 30.0
# seconds that a server may ask to wait for, whatever the time-out of an answer
_PATIENCE = 60.0
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
    """A request that may fare better later, after as many seconds as the server asks for, if it does."""

    def __init__(self, what: str, seconds: float | None = None) -> None:
        super().__init__(what)
        self.seconds = seconds


class _TimeOut(_Again):
    """There was no answer in time."""


class Connection:
    """A session with a server, in a thread of its own, so that it works inside notebooks and ends at Ctrl-C.

    Args:
        access: the server.
    """

    def __init__(self, access: Access) -> None:
        self.access, self._warned = access, -_QUIET
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
        """Have a coroutine run in the session's thread."""
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop)

    async def ask(self, path: str, body: object = None) -> Reply:
        """The answer to a GET, or to a POST of `body` as JSON.

        Raises:
            NoAnswer: there is none, after all tries.
            ServerError: it is no JSON, or the server wants another key.
        """
        retrying = tenacity.AsyncRetrying(
            retry=tenacity.retry_if_exception_type(_Again),
            wait=self._pause,
            stop=tenacity.stop_after_attempt(self.access.max_retries + 1) | self._hangs,
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
            tries = retrying.statistics["attempt_number"]
            raise NoAnswer(
                f"{self.access.root}{path}: {error} ({tries} {'try' if tries == 1 else 'tries'} in "
                f"{time.monotonic() - started:.0f} s); expected a reward server that answers: is it up, and is base_url its "
                "address? max_retries=… and timeout=… in --model_args give it more time"
            ) from error
        return reply

    async def _once(self, path: str, body: object) -> Reply:
        access, url, connected = self.access, self.access.root + path, []
        try:
            async with self._session.request(
                "GET" if body is None else "POST", url, json=body, allow_redirects=False, trace_request_ctx=connected
            ) as response:
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
            raise _TimeOut(
                f"no answer within {access.timeout:g} s, or no connection within {access.connect_timeout:g}"
            ) from error
        except (aiohttp.ClientError, OSError) as error:
            hint = "; does it speak TLS (https://)?" if not isinstance(error, aiohttp.ClientConnectorError) else ""
            tls = hint if access.root.startswith("http:") else ""
            raise _Again(f"{type(error).__name__}: {access.quoted(error)}{tls}") from error
        reply = self._judged(url, response.status, response.headers, text)
        reply.anew = bool(connected)
        return reply

    def _judged(self, url: str, status: int, headers: Mapping[str, str], text: str) -> Reply:
        said = f"found status {status} with {self.access.quoted(text)!r}"
        if status in _PASSING:
            seconds = _seconds(headers.get("Retry-After"))
            if seconds is not None and seconds > max(_PATIENCE, self.access.timeout):
                raise ServerError(
                    f"{url}: {said}, which asks to wait for {seconds:.0f} s, longer than timeout={self.access.timeout:g}; "
                    "expected a server with room: go on later"
                )
            raise _Again(said, seconds)
        if status in (401, 403):
            raise ServerError(
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
        except (ValueError, RecursionError) as error:
            raise _Again(f"found no JSON but {self.access.quoted(text)[:80]!r}") from error

    def _hangs(self, state: tenacity.RetryCallState) -> bool:
        """After the second time-out of a request a server is given up."""
        return isinstance(state.outcome.exception(), _TimeOut) and state.seconds_since_start >= 2 * self.access.timeout

    def _pause(self, state: tenacity.RetryCallState) -> float:
        """What the server asks for, but never so little that all tries are over at once."""
        asked = state.outcome.exception().seconds
        own = tenacity.wait_random_exponential(_FIRST_PAUSE, _LONGEST_PAUSE, min=_FIRST_PAUSE)(state)
        return asked or own

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


def _seconds(retry_after: str | None) -> float | None:
    """Of the header Retry-After, which holds seconds or a date; None where there is none that is either."""
    if retry_after is None:
        return None
    try:
        return max(0.0, float(retry_after))
    except ValueError:
        pass
    try:
        return max(0.0, (parsedate_to_datetime(retry_after) - datetime.now(timezone.utc)).total_seconds())
    except (TypeError, ValueError):
        return None
