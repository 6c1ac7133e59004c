"""api-reward: how a server is asked: its address, its key, proxies, pauses, and what it need not tell."""

import json
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from conftest import make_tokenizer
from servers.faults import hang, status, times
from servers.stand_in import PATHS, Handler, RewardServer, running
from test_api_reward import load, number

from skywork_rb_plugin import UserError
from skywork_rb_plugin.rendering.rendered import Rendered
from skywork_rb_plugin.servers import connection, scorer
from skywork_rb_plugin.servers.access import Access, root_of

PAIRS = [("Question?", f"answer {i} " * (i + 1)) for i in range(6)]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A tokenizer."""
    folder = tmp_path_factory.mktemp("tokenizer")
    make_tokenizer().save_pretrained(folder)
    return str(folder)


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    """Short pauses."""
    monkeypatch.setattr(connection, "_FIRST_PAUSE", 0.01)
    monkeypatch.setattr(connection, "_LONGEST_PAUSE", 0.02)
    for name in ("REWARD_API_KEY", "HTTP_PROXY", "http_proxy", "NO_PROXY", "no_proxy"):
        monkeypatch.delenv(name, raising=False)


def test_an_address_as_it_is_copied():
    """With the path of any API at its end, and blanks around it; what is none is refused before anything is asked."""
    for url in (
        "http://h:1",
        "http://h:1/v1/classify",
        "http://h:1/v1/models/",
        "http://h:1/pooling",
        " http://h:1/v1\n",
    ):
        assert root_of(url) == "http://h:1"
    assert root_of("http://[::1]:8/v1") == "http://[::1]:8"
    for url in ("http://a..b", "http://.", f"http://{'a' * 70}.com", "http://a b", "h:1", "http://h:x"):
        with pytest.raises(UserError, match="expected the address of a reward server"):
            root_of(url)


def test_a_key_over_http_is_warned_of(monkeypatch, caplog):
    """Not on this machine, nor with TLS, nor where none is sent."""
    Access.of("http://rewards.invalid")
    monkeypatch.setenv("REWARD_API_KEY", "sk-secret")
    for url in ("http://127.0.0.1:8", "http://localhost", "http://[::1]", "https://rewards.invalid"):
        Access.of(url)
    assert not caplog.text
    Access.of("http://rewards.invalid")
    assert "The key in REWARD_API_KEY goes to http://rewards.invalid as it is" in caplog.text
    monkeypatch.setenv("REWARD_API_KEY", "Basic abc")
    assert Access.of("https://h").headers == {"Authorization": "Basic abc"}
    assert Access.of("https://h").quoted("x abc Basic abc") == "x … …"


def test_a_proxy_of_the_environment(folder, monkeypatch):
    """It is asked in the server's name, but for addresses that the environment leaves out."""
    asked = []
    with running(RewardServer(number)) as served:

        class Proxy(Handler):
            def parse_request(self):
                fine = super().parse_request()
                asked.append(self.path)
                self.path = self.path.removeprefix("http://rewards.invalid")
                return fine

        proxy = ThreadingHTTPServer(("127.0.0.1", 0), Proxy)
        proxy.served, proxy.daemon_threads = served, True
        threading.Thread(target=proxy.serve_forever, args=(0.01,), daemon=True).start()
        try:
            monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{proxy.server_address[1]}")
            load(served, tokenizer=folder, base_url="http://rewards.invalid").score(PAIRS)
            assert asked.count("http://rewards.invalid/classify") > 6 / 3
            asked.clear()
            monkeypatch.setenv("no_proxy", "127.0.0.1")
            load(served, tokenizer=folder).score(PAIRS)
            assert not asked
        finally:
            proxy.shutdown()
            proxy.server_close()


class Closed(BaseHTTPRequestHandler):
    """A gateway that lets only requests for scores through."""

    do_POST, answer, served, log_message = Handler.do_POST, Handler.answer, Handler.served, Handler.log_message

    def do_GET(self):
        """Nothing is told."""
        self.answer(self.server.status, "<html>")


@pytest.mark.parametrize("code", [200, 302, 403, 500, 503])
def test_a_gateway_need_not_tell_anything(code, folder):
    """Whatever it says to a GET."""
    for protocol in PATHS:
        gateway = ThreadingHTTPServer(("127.0.0.1", 0), Closed)
        gateway.served, gateway.status, gateway.daemon_threads = (
            RewardServer(number, protocol, make_tokenizer()),
            code,
            True,
        )
        threading.Thread(target=gateway.serve_forever, args=(0.01,), daemon=True).start()
        try:
            gateway.served.url = f"http://127.0.0.1:{gateway.server_address[1]}"
            model = load(gateway.served, tokenizer=folder, protocol=protocol, max_length=100, max_retries=1)
            assert len(model.score(PAIRS)) == len(PAIRS)
        finally:
            gateway.shutdown()
            gateway.server_close()


class Starting(Handler):
    """Behind a gateway, which has no server to ask yet."""

    def do_GET(self):
        """Something is told from the third time on."""
        self.server.early -= 1
        return self.answer(503, "starting") if self.server.early >= 0 else super().do_GET()


def test_a_server_that_starts_is_asked_again(folder):
    """What it runs is known then."""
    gateway = ThreadingHTTPServer(("127.0.0.1", 0), Starting)
    gateway.served, gateway.early, gateway.daemon_threads = RewardServer(number), 2, True
    threading.Thread(target=gateway.serve_forever, args=(0.01,), daemon=True).start()
    try:
        gateway.served.url = f"http://127.0.0.1:{gateway.server_address[1]}"
        assert load(gateway.served, tokenizer=folder, protocol="vllm-classify").identity()["root"] == "org/tiny"
    finally:
        gateway.shutdown()
        gateway.server_close()


def test_pauses(folder, monkeypatch):
    """A server's wish is no less than ours, and may be longer than an answer takes; quick failures are no hang."""
    with running(RewardServer(number)) as served:
        model = load(served, tokenizer=folder, timeout=0.3, max_retries=20)
        served.fault = times(12, status(503, Retry_After="0"))
        start = time.monotonic()
        model.score(PAIRS[:1])
        assert time.monotonic() - start > 12 * 0.01
        served.fault = times(1, status(429, Retry_After="0.5"))
        model.score(PAIRS[:1])
        monkeypatch.setattr(connection, "_LONGEST_PAUSE", 0.2)
        monkeypatch.setattr(connection, "_FIRST_PAUSE", 0.2)
        served.fault = times(5, status(503))
        model.score(PAIRS[:1])  # after longer than two time-outs
        served.fault = hang
        with pytest.raises(UserError, match=r"no answer within 0.3 s.*\(2 tries in "):
            model.score(PAIRS[:1])


def test_what_hangs_is_not_waited_for_where_all_is_refused(folder, monkeypatch):
    """A key that expired: what is answered within the grace is kept, and the line comes."""
    monkeypatch.setattr(scorer, "_GRACE", 0.3)
    over = threading.Event()

    def fault(handler, content):
        if served.asked % 2:
            return handler.answer(401, "expired")
        over.wait(60)
        handler.close_connection = True

    with running(RewardServer(number)) as served:
        model = load(served, tokenizer=folder, num_concurrent=2, batch_size=1)
        served.asked, served.fault, start = 0, fault, time.monotonic()
        try:
            with pytest.raises(UserError, match="found status 401"):
                model.score(PAIRS)
        finally:
            over.set()
        assert time.monotonic() - start < 30


def test_tokenized_while_requests_are_under_way(folder, monkeypatch):
    """A little ahead; and what is done is not asked."""
    monkeypatch.setattr(scorer, "_CHARACTERS", 100)

    class Watched(Rendered):
        def encode(self, indices):
            encoded.extend(indices)
            return super().encode(indices)

    with running(RewardServer(number)) as served:
        model, encoded = load(served, tokenizer=folder), []
        texts = [f"<|user|>question {i}<|end|><|assistant|>answer<|end|>" for i in range(200)]
        stream = model.scorer.run(Watched(model.renderer, texts, {3, 150}))
        first = next(stream)
        assert len(encoded) < 100
        numbers = [*first.conversations, *(i for scored in stream for i in scored.conversations)]
    assert sorted(numbers) == sorted(encoded) == [i for i in range(200) if i not in (3, 150)]


def test_a_check_for_each_answer_is_enough(folder):
    """One conversation costs one look at the model, not one more at its end."""
    with running(RewardServer(number)) as served:
        model = load(served, tokenizer=folder)
        looked = served.looked
        model.score(PAIRS[:1])
        assert served.looked == looked + 1
        assert json.loads(model.identity()["sample of scores"]) == model.scorer.probes
