"""A reward server that goes wrong in fifty ways: right scores or one line, and no score lost that was given before."""

import signal
import socket
import threading
import time
from datetime import datetime, timedelta, timezone
from email.utils import format_datetime

import pytest
import trustme
from conftest import make_tokenizer
from lm_eval.api.instance import Instance
from rewards import requests, user
from servers.faults import FAULTS, LINE, LOADING, RIGHT, RUNNING, later, status, times
from servers.stand_in import RewardServer, certificate, running

from skywork_rb_plugin import UserError
from skywork_rb_plugin.models.api_reward import APIReward
from skywork_rb_plugin.models.requests import conversation_of
from skywork_rb_plugin.servers import connection

PAIRS = [(user(f"Question {i}?"), [f"answer {j} " * (j + 1) for j in range(3)]) for i in range(6)]
KEY = "sk-secret"


def number(ids):
    """Rewards of another kind, some of them far outside [0, 1]."""
    return [(sum(one) % 97) / 8 - 6 for one in ids]


class Kept:
    """What reaches the cache of the harness."""

    def __init__(self):
        self.answered = []

    def add_partial(self, kind, args, answer):
        """One answer."""
        self.answered.append(Instance("loglikelihood", {}, args, 0))


def ids_of(model, asked):
    """Token ids of requests."""
    return model.renderer.encode(model.renderer.render_all(conversation_of(*request.args) for request in asked))


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    """No pauses, and no key but the test's."""
    monkeypatch.setattr(connection, "_FIRST_PAUSE", 0.01)
    monkeypatch.setattr(connection, "_LONGEST_PAUSE", 0.02)
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    monkeypatch.setenv("REWARD_API_KEY", KEY)


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory):
    """A folder with a tokenizer alone."""
    folder = tmp_path_factory.mktemp("tokenizer")
    make_tokenizer().save_pretrained(folder)
    return str(folder)


def load(served, tokenizer, **options):
    """The model of the command line."""
    return APIReward.create_from_arg_obj(
        {"base_url": served.url, "tokenizer": tokenizer, "batch_size": 2, "num_concurrent": 2, **options}
    )


@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_ends_as_the_table_says(name, tokenizer, caplog):
    """docs/reliability.md has the table."""
    fault, model, kept = FAULTS[name], None, Kept()
    with (
        running(RewardServer(**{"score": number, **fault.server})) as served,
        caplog.at_level("INFO", logger="lm_eval"),
    ):
        try:
            served.fault = fault.do if fault.when == LOADING else None
            model = load(served, tokenizer, **fault.options)
            served.answered.clear()
            served.fault = later(3, fault.do) if fault.when == RUNNING else fault.do
            model.cache_hook = kept
            rewards = [reward for reward, _ in model.loglikelihood(requests(PAIRS), disable_tqdm=True)]
            end, said = RIGHT, caplog.text
        except UserError as error:
            end, said = LINE, str(error)
    assert (end, fault.says in said) == (fault.end, True), said
    assert KEY not in said + caplog.text
    if end == RIGHT:
        assert rewards == [row[0] for row in served.scores(ids_of(model, requests(PAIRS)), False)]
        return
    assert "\n" not in said
    assert (model is None) == (fault.when == LOADING)
    if model is not None:
        assert (
            "scores that came before are lost: --use_cache keeps them" in said
            or "survive only under --use_cache" in said
            or "scores of this run may be of either: begin anew" in said
        )
        kept = set(map(tuple, ids_of(model, kept.answered)))
        assert len(kept) >= (3 if fault.options.get("batch_size") == 1 else 6)
        assert fault.drops or (served.answered <= kept and len(kept) < len(requests(PAIRS)))


def test_a_table_of_faults_is_long():
    """What docs/reliability.md counts."""
    assert len(FAULTS) >= 45
    assert all(fault.says for fault in FAULTS.values() if fault.end == LINE)


def _in_two_seconds():
    return format_datetime(datetime.now(timezone.utc) + timedelta(seconds=2), usegmt=True)


def test_retry_after_is_waited_for(tokenizer, monkeypatch):
    """In seconds, which may be parts of one, and until a date."""
    monkeypatch.setattr(connection, "_LONGEST_PAUSE", 0.001)
    with running(RewardServer(number)) as served:
        model = load(served, tokenizer)
        for header, least in ((lambda: "0.4", 0.4), (_in_two_seconds, 0.9)):
            served.fault, start = times(1, status(429, Retry_After=header())), time.monotonic()
            model.score([("Question?", "x")])
            assert least < time.monotonic() - start < 3
    assert connection._seconds("Wed, 21 Oct 2015 07:28:00 GMT") == 0
    assert connection._seconds("soon") == 0


def test_a_closed_port(tokenizer):
    """Asked as often as wanted, then told."""
    with running(RewardServer(number)) as served:
        pass
    with pytest.raises(
        UserError, match=r"/v1/models: ClientConnectorError: .*\(3 tries in .* is it up, and is base_url"
    ):
        load(served, tokenizer, max_retries=2)


def test_tls(tokenizer, tmp_path):
    """With an authority that is known it is as without TLS; each mismatch has its line."""
    authority = trustme.CA()
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    with running(RewardServer(number), host="127.0.0.1", tls=certificate(authority, "127.0.0.1")) as served:
        rewards = load(served, tokenizer, ca_cert_path=str(tmp_path / "ca.pem")).score([("Q", "x"), ("Q", "yes")])
        assert load(served, tokenizer, verify_certificate=False).score([("Q", "x"), ("Q", "yes")]) == rewards
        with pytest.raises(UserError, match=r"its certificate is not trusted .* expected ca_cert_path=FILE"):
            load(served, tokenizer)
        with pytest.raises(UserError, match=r"can't read ca_cert_path=absent"):
            load(served, tokenizer, ca_cert_path="absent")
        plain = served.url.replace("https", "http")
        with pytest.raises(UserError, match=r"does it speak TLS \(https://\)\?"):
            load(served, tokenizer, base_url=plain, max_retries=0)
    with (
        running(RewardServer(number)) as served,
        pytest.raises(UserError, match=r"found no TLS there .* expected base_url=http://"),
    ):
        load(served, tokenizer, base_url=served.url.replace("http", "https"))


@pytest.mark.skipif(not socket.has_ipv6, reason="no IPv6 here")
def test_ipv6(tokenizer):
    """An address in brackets."""
    with running(RewardServer(number), host="::1") as served:
        assert "[::1]" in served.url
        assert load(served, tokenizer).score([("Q", "x")])[0] in served.score([one for [one] in served.sent[-1:]])


def test_another_server_behind_the_address_is_noticed_at_once(tokenizer):
    """A connection made anew may lead to it: none of its scores is taken."""
    with running(RewardServer(number)) as served:
        model = load(served, tokenizer, num_concurrent=1)

        def swap(handler, content):
            handler.served.root, handler.close_connection = "org/other", True
            return content

        kept, served.fault = Kept(), later(2, times(1, swap))
        model.cache_hook, asked = kept, served.asked
        with pytest.raises(UserError, match=r"found another model there than before: root org/other, not org/tiny"):
            model.loglikelihood(requests(PAIRS), disable_tqdm=True)
        assert served.asked - asked == 4
        assert len(kept.answered) == 6


@pytest.fixture
def interruptible():
    """A shell's background job ignores SIGINT, and so does what it starts."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def test_ctrl_c_ends_at_once(tokenizer, caplog, interruptible):
    """With requests under way; the log says what is left."""
    with running(RewardServer(number)) as served, caplog.at_level("WARNING", logger="lm_eval"):
        model = load(served, tokenizer, num_concurrent=2)

        over = threading.Event()

        def interrupt(handler, content):
            if served.asked == asked + 4:
                signal.pthread_kill(threading.main_thread().ident, signal.SIGINT)
            over.wait(60)
            handler.close_connection = True

        asked, start = served.asked, time.monotonic()
        served.fault = later(3, interrupt)
        try:
            with pytest.raises(KeyboardInterrupt):
                model.score([("Question?", "answer " * i) for i in range(1, 20)])
        finally:
            over.set()
        assert time.monotonic() - start < 30
    assert "of 19 conversations are lost" in caplog.text
    assert "reward server" not in [thread.name for thread in threading.enumerate()]
