"""The server: it answers in the words of vLLM 0.32.0 (recorded), SGLang and OpenRLHF (their sources), with given rewards."""

import json
import math
import socket
import ssl
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

PATHS = {"vllm-classify": "/classify", "vllm-pooling": "/pooling", "sglang": "/classify", "openrlhf": "/get_reward"}


class RewardServer:
    """What a test knows of the server.

    Attributes:
        url: its address.
        fault: called with the handler and the right answer of each request for scores; returns what is answered, or None
            where it has answered by itself.
        asked: how many requests for scores came, but for those that only look whether it is the same model still.
        sent: the conversations of each, in the order that they came.
        looked: how many came that only look.
        answered: conversations of right answers.
        activation: what the switch was set to, of each request.
    """

    def __init__(self, score, protocol="vllm-classify", tokenizer=None, **settings):
        """Settings: `model`, `root`, `length`, `key`, `labels`, `switch`, `sigmoid`, `fault`,
        `silent` (tells nothing of itself), `per_token` (pools nothing)."""
        self.score, self.protocol, self.tokenizer = score, protocol, tokenizer
        self.model, self.root, self.length, self.version = "tiny", "org/tiny", 512, "0.32.0"
        self.key, self.labels, self.switch, self.sigmoid = None, 1, "use_activation", False
        self.fault, self.silent, self.per_token = None, False, False
        for name, value in settings.items():
            assert hasattr(self, name), name
            setattr(self, name, value)
        self.asked, self.sent, self.answered, self.activation = 0, [], set(), []
        self.looked, self.loading = 0, []

    def only_looks(self, ids, body):
        """Whether a request is what a model sent when it was loaded: six conversations, for vLLM once with each switch."""
        ids, on = [tuple(one) for one in ids], body.get("activation", False)
        if on and self.loading and self.loading[-1] == ids:
            return False  # the second of the loading
        if len(ids) == 6 and ids in self.loading:
            return True
        self.loading.append(ids)
        return False

    # what it says

    def get(self, path):
        """The answer to a GET, or None."""
        if self.silent:
            return None
        card = {"id": self.model, "object": "model", "created": 1, "root": self.root, "parent": None}
        if path == "/v1/models" and self.protocol.startswith("vllm"):
            return {"object": "list", "data": [{**card, "owned_by": "vllm", "max_model_len": self.length}]}
        if path == "/version" and self.protocol.startswith("vllm"):
            return {"version": self.version}
        if self.protocol == "sglang":
            return {
                "/v1/models": {"object": "list", "data": [{**card, "owned_by": "sglang", "max_model_len": self.length}]},
                "/get_model_info": {"model_path": self.root, "is_generation": False, "weight_version": "default"},
                "/get_server_info": {
                    "served_model_name": self.model, "max_req_input_len": self.length + 1, "version": "0.5.3",
                    "dtype": "auto", "quantization": None, "api_key": "of the server", "revision": None,
                },
            }.get(path)  # fmt: skip
        return None

    def scores(self, ids, activation):
        """Of each conversation a list of labels' numbers; the first label's are the rewards."""
        raw = self.score(ids)
        if self.sigmoid or (activation and self.protocol.startswith("vllm")):
            raw = [1 / (1 + math.exp(-score)) for score in raw]
        return [[score + 100 * label for label in range(self.labels)] for score in raw]

    def post(self, body):
        """Conversations of a request for scores, and the right answer to it; a status and text where it is a wrong one."""
        if self.protocol == "openrlhf":
            ids = [self.tokenizer(text, add_special_tokens=False)["input_ids"] for text in body["query"]]
            rewards = [row[0] for row in self.scores(ids, False)]
            return ids, {"rewards": rewards, "scores": rewards, "extra_logs": {"dummy_scores": rewards}}
        ids = body.get("input_ids" if self.protocol == "sglang" else "input")
        if ids is None:
            return 400, '{"error":{"message":"1 validation error: Field required","type":"Bad Request","code":400}}'
        if self.length and max(map(len, ids)) > self.length:
            return 400, '{"error":{"message":"This model\'s maximum context length is exceeded","code":400}}'
        if self.protocol == "sglang":
            rows = self.scores(ids, False)
            return ids, [
                {
                    "embedding": row,
                    "meta_info": {"id": "a", "finish_reason": {"type": "length"}, "prompt_tokens": len(one)},
                }
                for row, one in zip(rows, ids, strict=True)
            ]
        if body.get("model", self.model) != self.model:
            return 404, f'{{"error":{{"message":"The model `{body["model"]}` does not exist.","code":404}}}}'
        activation = body.get(self.switch, True)  # what it does not know is ignored
        rows = self.scores(ids, activation)
        entries = [
            {"index": i, "label": "LABEL_0", "probs": row, "num_classes": len(row)}
            if self.protocol == "vllm-classify"
            else {
                "index": i,
                "object": "pooling",
                "data": [[0.0] * self.labels] * (len(ids[i]) - 1) + [row] if self.per_token else row,
            }
            for i, row in enumerate(rows)
        ]
        tokens = sum(map(len, ids))
        usage = {"prompt_tokens": tokens, "total_tokens": tokens, "completion_tokens": 0}
        return ids, {
            "id": "classify-1",
            "object": "list",
            "created": 1,
            "model": self.model,
            "data": entries,
            "usage": usage,
        }


class Handler(BaseHTTPRequestHandler):
    """One connection."""

    protocol_version = "HTTP/1.1"
    wbufsize = 1 << 16  # head and body in one packet: two wait for each other

    @property
    def served(self):
        """The RewardServer."""
        return self.server.served

    def log_message(self, *args):
        """Not on stderr."""

    def do_GET(self):
        """What it runs."""
        if self.served.key and self.path.startswith("/v1") and not self.has_key():
            return self.answer(401, '{"error":"Unauthorized"}')
        content = self.served.get(self.path)
        return self.answer(404, '{"detail":"Not Found"}') if content is None else self.answer(200, content)

    def do_POST(self):
        """Scores."""
        served, body = self.served, json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if self.path != PATHS[served.protocol]:
            return self.answer(404, '{"detail":"Not Found"}')
        ids, content = served.post(body)
        if isinstance(ids, int):
            return self.answer(ids, content)
        if served.only_looks(ids, body):
            served.looked += 1
            return self.answer(200, content)
        served.asked += 1
        if served.protocol.startswith("vllm"):
            served.activation.append(body.get(served.switch, True))
        served.sent.append([tuple(one) for one in ids])
        right = json.dumps(content)
        if served.fault:
            content = served.fault(self, content)
            if content is None:
                return None
        if json.dumps(content) == right:
            served.answered.update(map(tuple, ids))
        return self.answer(200, content)

    def has_key(self):
        """Whether the request carries the server's key."""
        return self.headers.get("Authorization") == f"Bearer {self.served.key}"

    def answer(self, status, content, **headers):
        """JSON, or text as it is."""
        data = (content if isinstance(content, str) else json.dumps(content)).encode()
        self.send_response(status)
        given = {name.replace("_", "-"): value for name, value in headers.items()}
        for name, value in {"Content-Type": "application/json", "Content-Length": str(len(data)), **given}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(data)


class _V6(ThreadingHTTPServer):
    address_family = socket.AF_INET6


@contextmanager
def running(served, host="127.0.0.1", port=0, tls=None):
    """Have a RewardServer run; `tls` is an SSLContext."""
    listening = (_V6 if ":" in host else ThreadingHTTPServer)((host, port), Handler)
    listening.served, listening.daemon_threads, listening.block_on_close = served, True, False
    listening.handle_error = lambda *args: None
    if tls:
        listening.socket = tls.wrap_socket(listening.socket, server_side=True, do_handshake_on_connect=False)
    shown = f"[{host}]" if ":" in host else host
    served.url = f"{'https' if tls else 'http'}://{shown}:{listening.server_address[1]}"
    served.listening = listening
    thread = threading.Thread(target=listening.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    try:
        yield served
    finally:
        listening.shutdown()
        listening.server_close()
        thread.join()


def certificate(authority, host):
    """An SSLContext with a certificate of a trustme authority."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(host).configure_cert(context)
    return context
