"""api-reward: a reward model that another program serves over HTTP."""

import inspect
import json
import logging
from collections.abc import Mapping

import transformers
from transformers.utils import cached_file
from transformers.utils.hub import extract_commit_hash

from skywork_rb_plugin.errors import UserError
from skywork_rb_plugin.models import checkpoints, score_cache
from skywork_rb_plugin.models.api_options import check_api_options
from skywork_rb_plugin.models.options import plain
from skywork_rb_plugin.models.reading import tried
from skywork_rb_plugin.models.reward_lm import RewardLM
from skywork_rb_plugin.models.served_heads import served_head
from skywork_rb_plugin.rendering.rendered import PROBES
from skywork_rb_plugin.servers.access import Access, AnotherModel, ServerError
from skywork_rb_plugin.servers.connection import Connection
from skywork_rb_plugin.servers.finding import find_protocol
from skywork_rb_plugin.servers.protocols import PROTOCOLS
from skywork_rb_plugin.servers.scorer import ServedScorer

logger = logging.getLogger(f"lm_eval.{__name__}")

# conversations a request where the user leaves that to us
_AUTO_BATCH = 16
# a tokenizer that states no length has one of about 1e30
_NO_LENGTH = 10**9
# as different as can be: logits of all of them between 0 and 1 are unlikely
_PROBES = [
    *PROBES,
    ({"role": "user", "content": "How do I boil an egg?"}, {"role": "assistant", "content": "I hate you. Go away!"}),
    ({"role": "user", "content": "What is 2 + 2?"}, {"role": "assistant", "content": "2 + 2 = 4."}),
    ({"role": "user", "content": "Write a haiku."}, {"role": "assistant", "content": "qwrt zzz ## 0000 " * 8}),
]


class APIReward(RewardLM):
    """`--model api-reward`: scores `(conversation, response)` with a reward model that a server runs: vLLM, SGLang, OpenRLHF.

    The key that the server wants is read from REWARD_API_KEY in the environment.

    Args:
        pretrained: hub name or folder of the served model, for its tokenizer and its config; default: what the server names.
        base_url: the server's address, such as `http://localhost:8000`.
        protocol: `vllm-classify`, `vllm-pooling`, `sglang` or `openrlhf`; default: found out by asking the server.
        model: the model's name on the server; default: the one that it has.
        tokenizer: hub name or folder of a tokenizer, where it is not the one of `pretrained`.
        revision: of both.
        trust_remote_code: whether code that comes with these may run.
        chat_template: a Jinja file, or the name of one of the tokenizer's templates; default: the tokenizer's own.
        chat_template_args: further arguments of the template.
        max_length: tokens; longer conversations are cut from the left, after the BOS; default: what the server takes.
        label: of a classifier with several labels, the number of the one whose logit is the reward, from 0.
        batch_size: conversations a request; `auto` means 16.
        num_concurrent: requests under way.
        max_retries: how often a request that failed is sent again, after pauses that grow or that the server asks for.
        timeout: seconds until an answer must be there.
        connect_timeout: seconds until a connection must be there.
        verify_certificate: whether the server's certificate is checked.
        ca_cert_path: the file of the authority that it is checked by; default: the system's.

    Raises:
        UserError: there is no such server, it has no reward model or one that only hf-reward reads, or the tokenizer can't be
            used.
    """

    indifferent = frozenset(
        {
            "device", "base_url", "batch_size", "num_concurrent", "max_retries", "timeout", "connect_timeout",
            "verify_certificate", "ca_cert_path", "scale", "scores_saturated",
        }
    )  # fmt: skip

    def __init__(
        self,
        pretrained: str | None = None,
        base_url: str | None = None,
        protocol: str | None = None,
        model: str | None = None,
        tokenizer: str | None = None,
        revision: str | None = None,
        trust_remote_code: bool = False,
        chat_template: str | None = None,
        chat_template_args: Mapping | None = None,
        max_length: int | None = None,
        label: int | None = None,
        batch_size: int | str = 1,
        num_concurrent: int = 8,
        max_retries: int = 5,
        timeout: float = 300,
        connect_timeout: float = 10,
        verify_certificate: bool = True,
        ca_cert_path: str | None = None,
        **kwargs,
    ) -> None:
        given = {name: value for name, value in locals().items() if name not in ("self", "kwargs", "__class__")}
        self.check_options({**given, **kwargs})
        super().__init__()
        access = Access.of(
            base_url,
            timeout=timeout,
            connect_timeout=connect_timeout,
            max_retries=plain(max_retries),
            num_concurrent=plain(num_concurrent),
            certificates=(ca_cert_path or True) if verify_certificate else False,
        )
        with Connection(access) as connection:
            self._protocol, self._served = connection.start(find_protocol(connection, protocol, model)).result()
        self._root, self._label = access.root, label
        as_text = PROTOCOLS[self._protocol].as_text
        model_name = pretrained or self._served.root
        head = served_head(model_name, revision, trust_remote_code, self._protocol, as_text)
        name, self._head = tokenizer or model_name, head.name
        loaded = _tokenizer(name, revision, trust_remote_code)
        self._tokenizer_state = f"{name}, {checkpoints.revision_of(name, _commit(name, revision))}"
        renderer = head.renderer(
            loaded,
            chat_template,
            chat_template_args or {},
            self._length(max_length, PROTOCOLS[self._protocol].length, loaded.model_max_length),
            str(name),
        )
        renderer.vocabulary = head.vocabulary
        self.renderer, probe = renderer, tried(renderer, _PROBES, chat_template)
        ids = probe.encode(range(len(_PROBES)))
        if head.name is None and {one[-1] for one in ids} == {loaded.pad_token_id}:
            logger.warning(
                "Conversations end in the pad token %r, at which the server reads them; transformers would read the token before "
                "it if it is the config's too: compare a few rewards with hf-reward's.",
                loaded.pad_token,
            )  # fmt: skip
        size = _AUTO_BATCH if str(batch_size).startswith("auto") else int(batch_size)
        self.scorer = ServedScorer(
            access, self._protocol, self._served, renderer, size, head.last, plain(label), head.labels
        )
        self.scorer.probe(probe.texts, ids)
        logger.info(
            "Rewards are those of %s at %s, asked by %s: %s.",
            self._served.model or "the model",
            self._root,
            self._protocol,
            self.scorer.scale.name,
        )
        if as_text:
            logger.info(
                "%s takes texts and tokenizes them itself; beyond its own length, by default %s tokens, it cuts them from the right "
                "and does not say so: max_length=%d is what is sent.",
                self._root, PROTOCOLS[self._protocol].length, renderer.max_length,
            )  # fmt: skip

    @classmethod
    def check_options(cls, options: Mapping[str, object]) -> None:
        """Refuse options that there are not and values that can't be meant, before the server is asked anything.

        Raises:
            UserError: says what was found and what was expected.
        """
        check_api_options(options, set(inspect.signature(cls).parameters) - {"kwargs"})

    def _length(self, wanted: int | None, usual: int | None, stated: object) -> int:
        """The user's, else the server's, else the protocol's, else the tokenizer's.

        Raises:
            UserError: the server takes less than the user wants, or nobody states any.
        """
        most = self._served.length
        if wanted and most and wanted > most:
            raise UserError(
                f"found max_length={wanted}, expected at most {most}, the tokens that {self._root} takes; start it with more"
            )
        tokenizers = stated if isinstance(stated, int) and stated < _NO_LENGTH else None
        if length := plain(wanted) or most or usual or tokenizers:
            return length
        raise UserError(
            f"found no length that {self._root} or the tokenizer states, expected max_length=… in --model_args: the tokens that "
            "the server takes"
        )

    def _run(self, conversations, answer, counts, left: str, **bar) -> None:
        """As any model; where the server is gone, the line says what is left."""
        try:
            super()._run(conversations, answer, counts, left, **bar)
        except AnotherModel as error:
            raise AnotherModel(
                f"{error}; scores of this run may be of either: begin anew, with another --use_cache path or score's --overwrite"
            ) from error
        except ServerError as error:
            raise UserError(f"{error}; scores that came before {left}") from error

    def loglikelihood(self, requests, disable_tqdm: bool = False) -> list[tuple[float, bool]]:
        """As any model; a cache that scores of another model may have come into is no one's any more."""
        try:
            return super().loglikelihood(requests, disable_tqdm)
        except AnotherModel:
            if self._database is not None:
                with score_cache.in_use(self._database):
                    score_cache.disown(self._database)
            raise

    # what it says of itself

    def identity(self) -> dict[str, str]:
        """What decides a score beside rendering: what the server says it runs, and scores by which it is known again."""
        return {
            "model": str(self._served.model),
            "root": str(self._served.root),
            **self._served.told,
            "protocol": self._protocol,
            "head": str(self._head),
            "label": str(self._label),
            "tokenizer": self._tokenizer_state,
            score_cache.SAMPLE: json.dumps(self.scorer.probes),
        }

    def reward_info(self) -> dict[str, object]:
        """For the results file."""
        return {
            "checkpoint": self._served.root or self._served.model,
            "head": f"{self._head or 'not known'}, of the server, by {self._protocol}",
            "server": self._root,
            "served": {"model": self._served.model, **self._served.told},
            "tokenizer": self._tokenizer_state,
        }


def _commit(name: str, revision: str | None) -> str | None:
    """The hub's commit of a tokenizer where that is known, else what was asked for."""
    quietly = {
        f"_raise_exceptions_for_{what}": False for what in ("missing_entries", "gated_repo", "connection_errors")
    }
    file = cached_file(name, "tokenizer_config.json", revision=revision or "main", **quietly)
    return extract_commit_hash(file and str(file), None) or revision


def _tokenizer(name: str | None, revision: str | None, remote: bool) -> transformers.PreTrainedTokenizerBase:
    """Raises UserError where there is none."""
    if name is None:
        raise UserError(
            "found neither pretrained=… nor tokenizer=… in --model_args, and the server does not say what it runs; expected the "
            "hub name or folder of the served model's tokenizer"
        )
    try:
        return transformers.AutoTokenizer.from_pretrained(name, revision=revision or "main", trust_remote_code=remote)
    except Exception as error:
        # transformers raises all kinds
        raise UserError(
            f"found no tokenizer {name!r}, expected tokenizer=… in --model_args with a hub name or a folder (gated ones need `hf "
            f"auth login`): {type(error).__name__}: {' '.join(str(error).split())[:300]}"
        ) from error
