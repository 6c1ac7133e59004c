"""What can go wrong with a server, how it is made to, and how a run ends then."""

import json
import socket
import struct
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

RIGHT, LINE = "right scores", "one line"
LOADING, RUNNING = "before the first score", "in the middle of a run"


@dataclass(frozen=True)
class Fault:
    """One thing that goes wrong.

    Attributes:
        end: RIGHT or LINE.
        says: part of the line, or of a warning.
        do: as `RewardServer.fault`, from `when` on.
        when: LOADING or RUNNING.
        server: settings of the RewardServer.
        options: of the model.
        drops: whether other requests may be answered rightly all the same, or right answers be thrown away.
    """

    end: str
    says: str = ""
    do: Callable | None = None
    when: str = RUNNING
    server: Mapping = field(default_factory=dict)
    options: Mapping = field(default_factory=dict)
    drops: bool = False


def later(count, do):
    """The first requests are answered rightly."""
    right = [count]

    def fault(handler, content):
        right[0] -= 1
        return content if right[0] >= 0 or do is None else do(handler, content)

    return fault


def times(count, do):
    """The first requests go wrong, the others are answered rightly."""
    left = [count]

    def fault(handler, content):
        left[0] -= 1
        return do(handler, content) if left[0] >= 0 else content

    return fault


def status(code, text="busy", **headers):
    """An answer with another status."""
    return lambda handler, content: handler.answer(code, text, **headers)


def says(text, kind="application/json"):
    """Another answer, as it is."""
    return lambda handler, content: handler.answer(200, text, Content_Type=kind)


def changed(change):
    """The right answer with something changed."""

    def fault(handler, content):
        change(content)
        return content

    return fault


def score(value):
    """Another score in the place of the first; `...` is the number as it is."""
    return changed(lambda content: content["data"][0].__setitem__("probs", value))


def slow(handler, content):
    """A little late."""
    time.sleep(0.05)
    return content


def hang(handler, content):
    """No answer in time, if ever."""
    time.sleep(1)
    handler.close_connection = True


def half(handler, content):
    """The connection ends before the answer does."""
    data = json.dumps(content).encode()
    handler.send_response(200)
    handler.send_header("Content-Type", "application/json")
    handler.send_header("Content-Length", str(len(data)))
    handler.end_headers()
    handler.wfile.write(data[: len(data) // 2])
    handler.close_connection = True


def reset(handler, content):
    """The connection is reset."""
    handler.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    handler.connection.close()
    handler.close_connection = True


def die(handler, content):
    """The server's port is closed, and so is the connection."""
    handler.server.shutdown()
    handler.server.server_close()
    reset(handler, content)


def _backwards(content):
    content["data"] = content["data"][::-1]


def _restarted(handler, content):
    """It was away, and is another model under the same name when it is back."""
    handler.served.root = "org/other"
    return status(503)(handler, content)


def _swapped(handler, content):
    """It is another model under the same name, without a break."""
    handler.served.root = "org/other"
    return content


_QUICK = {"max_retries": 1}

FAULTS = {
    "slow": Fault(RIGHT, do=slow),
    "429 with Retry-After": Fault(RIGHT, do=times(1, status(429, Retry_After="0"))),
    "429 without": Fault(RIGHT, do=times(2, status(429))),
    "429 that asks for less than a pause": Fault(RIGHT, do=times(4, status(429, Retry_After="0"))),
    "429 that asks for an hour": Fault(LINE, "asks to wait for 3600 s", status(429, Retry_After="3600")),
    "500 once": Fault(RIGHT, do=times(1, status(500, "oops"))),
    "500 each time": Fault(LINE, "found status 500 with 'oops' (2 tries in", status(500, "oops"), options=_QUICK),
    "503 while it starts": Fault(RIGHT, do=times(3, status(503)), when=LOADING),
    "502 of a gateway, an HTML page": Fault(RIGHT, do=times(2, status(502, "<html>Bad Gateway"))),
    "half an answer once": Fault(RIGHT, do=times(1, half)),
    "half an answer each time": Fault(LINE, "ClientPayloadError", half, options=_QUICK),
    "connection reset once": Fault(RIGHT, do=times(1, reset)),
    "connection reset each time": Fault(LINE, "expected a reward server that answers", reset, options=_QUICK),
    "a hang once": Fault(RIGHT, do=times(1, hang), options={"timeout": 0.3}),
    "a hang each time": Fault(LINE, "no answer within 0.2 s", hang, options={"timeout": 0.2}),
    "its death": Fault(LINE, "expected a reward server that answers: is it up", die, options=_QUICK),
    "JSON cut short once": Fault(RIGHT, do=times(1, says('{"data": [{"ind'))),
    "no JSON": Fault(LINE, "found no JSON but 'ok'", says("ok"), options=_QUICK),
    "an HTML page": Fault(LINE, "found an HTML page, '<html>Log in'", says("<html>Log in", "text/html")),
    "JSON of another shape": Fault(LINE, "found '[1, 2]' (TypeError", says("[1, 2]")),
    "no scores": Fault(LINE, "found 0 scores, expected", changed(lambda content: content["data"].clear())),
    "a score too few": Fault(LINE, "scores, expected", changed(lambda content: content["data"].pop())),
    "scores in another order": Fault(RIGHT, do=changed(_backwards)),
    "an index twice": Fault(LINE, "indices that are not 0, 1, 2", changed(lambda c: c["data"][0].update(index=1))),
    "NaN": Fault(LINE, "found score nan", says('{"data": [{"index": 0, "probs": [NaN]}]}'), options={"batch_size": 1, "num_concurrent": 1}),
    "Infinity": Fault(LINE, "found score inf", score([float("inf")]), options={"num_concurrent": 1}),
    "null": Fault(LINE, "found score nan", score([None]), options={"num_concurrent": 1}),
    "a string": Fault(LINE, "found '0.5' as a score, expected a number", score(["0.5"])),
    "a truth value": Fault(LINE, "found True as a score, expected a number", score([True])),
    "a number without its list": Fault(LINE, "found '0.5' as a conversation's score, expected a list", score(0.5)),
    "several labels": Fault(LINE, "found 3 numbers for each conversation", when=LOADING, server={"labels": 3}),
    "several labels, label=0": Fault(RIGHT, when=LOADING, server={"labels": 3}, options={"label": 0}),
    "fewer labels than label=": Fault(LINE, "expected more than label=3", when=LOADING, server={"labels": 3}, options={"label": 3}),
    "a key is wanted": Fault(LINE, "expected its key in the environment variable REWARD_API_KEY", when=LOADING, server={"key": "k"}),
    "401 in the middle": Fault(LINE, "found status 401", status(401, "expired")),
    "a number too large": Fault(LINE, "OverflowError: int too large", score([10**400]), options={"num_concurrent": 1}),
    "JSON too deep": Fault(LINE, "RecursionError", says("[" * 100_000), options={"num_concurrent": 1}),
    "403": Fault(LINE, "found status 403", status(403, "no access"), when=LOADING),
    "404 in the middle": Fault(LINE, "found status 404 with 'gone'", status(404, "gone")),
    "no path of a reward server": Fault(
        LINE, "vllm-classify: /classify gave status 404", when=LOADING, server={"protocol": "vllm-pooling"},
        options={"protocol": "vllm-classify"},
    ),
    "413": Fault(LINE, "found status 413 with 'too large' for", status(413, "too large")),
    "400, too long": Fault(LINE, "found status 400 with 'maximum context length", status(400, "maximum context length")),
    "a redirection": Fault(LINE, "found a redirection to 'http://other/'", status(307, "", Location="http://other/"), when=LOADING),
    "an answer by another model": Fault(LINE, "found an answer by the model m2, expected tiny", changed(lambda c: c.update(model="m2"))),
    "another model after a restart": Fault(LINE, "org/other", times(1, _restarted), drops=True),
    "another model without a break": Fault(LINE, "org/other", times(1, _swapped), drops=True),
    "tokens cut by the server": Fault(
        LINE, "is it started so that it cuts or adds tokens", changed(lambda c: c["usage"].update(prompt_tokens=1))
    ),
    "tokens cut by SGLang": Fault(
        LINE, "is it started so that it cuts or adds tokens", changed(lambda c: c[0]["meta_info"].update(prompt_tokens=1)),
        server={"protocol": "sglang"},
    ),
    "another protocol": Fault(LINE, "sglang: /classify gave status 400", when=LOADING, options={"protocol": "sglang"}),
    "a model that it does not have": Fault(LINE, "found model=big in --model_args, expected one that the server has: tiny",
                                           when=LOADING, options={"model": "big"}),
    "more tokens wanted than it takes": Fault(LINE, "found max_length=600, expected at most 512", when=LOADING, options={"max_length": 600}),
    "a sigmoid that can't be left out": Fault(
        RIGHT, "they are no logits", when=LOADING, server={"sigmoid": True, "switch": None}
    ),
    "the same score for all": Fault(LINE, "found the scores [1.0] for 6 different", when=LOADING, server={"score": lambda ids: [1.0] * len(ids)}),
}  # fmt: skip
