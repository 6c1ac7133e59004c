"""RewardLM: a reward model as a language model of the host, whose log-likelihoods are rewards; what all backends share."""

import abc
import logging
import math
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace

from lm_eval.api.model import LM

import skywork_rb_plugin
from skywork_rb_plugin.conversations import Conversation, Message, whole_conversation
from skywork_rb_plugin.errors import UserError
from skywork_rb_plugin.host import Instance, coming_evaluation, evaluated_model, simple_parse_args_string, whole_run
from skywork_rb_plugin.models import score_cache
from skywork_rb_plugin.models.as_published import KnownRun
from skywork_rb_plugin.models.cache_file import check_file
from skywork_rb_plugin.models.coming_run import check_cache, check_tasks
from skywork_rb_plugin.models.distinct import Answers, score_distinct
from skywork_rb_plugin.models.documents import Document, rewards_of
from skywork_rb_plugin.models.last_line import LastLine
from skywork_rb_plugin.models.processes import Peers
from skywork_rb_plugin.models.requests import answer_is_missing, conversation_of, not_finite, refuse_unrankable
from skywork_rb_plugin.models.shares import all_requests
from skywork_rb_plugin.rendering.renderer import Renderer
from skywork_rb_plugin.scoring.batches import Kept, Scorer
from skywork_rb_plugin.scoring.progress import Counts

logger = logging.getLogger(f"lm_eval.{__name__}")

_SECONDS_WITHOUT_BAR = 5


class RewardLM(LM):
    """Scores `(conversation, response)`; the host's cache, logs and results file get what they need for that.

    A backend sets these two when it is loaded, and says what it is by `identity` and `reward_info`:

    Attributes:
        renderer: turns messages into the text, and that into the token ids, that the model is given.
        scorer: turns rendered conversations into rewards.

    And these where they apply:

    Attributes:
        known: of a known model, what is published of it; groups tell it their scores.
        steps: of a process reward model, how the scores of a response's steps become one reward, such as `last`; else None.
        peers: the processes that share the requests, each with this model; None where there is one.
    """

    renderer: Renderer
    scorer: Scorer
    known: KnownRun | None = None
    steps: str | None = None
    peers: Peers | None = None
    # whether a reward is of the response alone, so that it can be compared with a threshold
    of_one_response = True
    # it logs a run's last line itself; for other models our tasks do
    sums_up = True
    # whether a reward takes two models, whose scores are kept one by one
    takes_halves = False
    # options that decide no reward
    indifferent: frozenset[str] = frozenset({"device"})

    def __init__(self, *args, **kwargs) -> None:
        self._database = None
        self.total_counts = Counts()  # of the present run, in all processes
        self._last_line = LastLine()
        self._one_run = threading.Lock()
        super().__init__(*args, **kwargs)

    # what a backend says of itself

    @abc.abstractmethod
    def identity(self) -> dict[str, str]:
        """What decides a score beside rendering and attention, in words: checkpoint, dtype, head, …"""

    @abc.abstractmethod
    def reward_info(self) -> dict[str, object]:
        """What the results file says of the model in its block `reward`, beside what all backends have."""

    @classmethod
    def check_options(cls, options: Mapping[str, object]) -> None:
        """Refuse options that can't be meant, before anything is loaded; a backend says which.

        Raises:
            UserError: says what was found and what was expected.
        """

    @classmethod
    def check_run(cls, run: Mapping | None, processes: int) -> None:
        """Look at what comes once the model is loaded: the score cache and the tasks.

        Args:
            run: the arguments of `simple_evaluate`, or None where nothing is known of a run.
            processes: how many will share the documents.

        Raises:
            UserError: one of them can't be used.
        """
        check_cache(run, processes)
        check_tasks(run, processes)

    @classmethod
    def processes(cls, options: Mapping[str, object]) -> int:
        """How many processes will share the documents of a run, each with a model of its own."""
        return 1

    def scoring_mode(self) -> AbstractContextManager:
        """In force while conversations are scored."""
        return nullcontext()

    # from Python

    def score(self, conversations: Iterable, progress: bool = True) -> list[float]:
        """The rewards of conversations, in their order and in the model's own units.

        Equal conversations are scored once, and what conversations share is computed once, as in a run of the harness.
        Threads that call this wait for each other; what is scored here is not counted in a results file.

        Args:
            conversations: each a list of messages, `{"role": …, "content": …}`, that ends in the assistant's, or a pair
                of a prompt (a string or messages) and a response (a string).
            progress: whether to show a bar when it takes more than a few seconds.

        Raises:
            UserError: one is no conversation, the chat template refuses it, its reward is not finite, or memory runs out.
        """
        whole = []
        if not isinstance(conversations, Iterable):
            raise UserError(f"found {conversations!r}, expected conversations, in a list or one by one")
        for i, conversation in enumerate(conversations):
            try:
                whole.append(whole_conversation(conversation))
            except ValueError as error:
                raise UserError(f"conversation {i}: {error}") from error
        rewards = [math.nan] * len(whole)

        def note(answers: Answers) -> None:
            for indices, reward in answers:
                if not math.isfinite(reward):
                    raise not_finite(f"conversation {indices[0]}", whole[indices[0]][0]["content"], reward)
                for i in indices:
                    rewards[i] = float(reward)

        bar = {"hidden": not progress, "delay": _SECONDS_WITHOUT_BAR}
        self._run(whole, note, Counts(), left="are lost", **bar)
        return rewards

    def score_documents(
        self, documents: Sequence[Document], counts: Counts, kept: Kept | None = None
    ) -> list[list[float]]:
        """The rewards of documents' responses; without a bar.

        Args:
            documents: prompts with their responses.
            counts: what is added to.
            kept: where rewards outlive a run that is killed; what it has is not scored again.

        Raises:
            UserError: as `score`; finite rewards of the same forward passes are in `kept`.
        """

        def run(conversations: Iterable[Sequence[Message]], answer: Callable[[Answers], None]) -> None:
            self._run(conversations, answer, counts, left="are kept", hidden=True, kept=kept)

        return rewards_of(documents, run)

    def keep_halves(self, kept: Kept | None) -> None:
        """Keep there what the first of two models gives, or nowhere: a reward takes both. Here there is one."""

    def _run(
        self,
        conversations: Iterable[Sequence[Message]],
        answer: Callable[[Answers], None],
        counts: Counts,
        left: str,
        **bar,
    ) -> None:
        """Score distinct conversations and hand the rewards on as they come; see `score_distinct`."""
        with self._one_run, self.scoring_mode():
            before, start = replace(counts), time.monotonic()
            score_distinct(self.renderer, self.scorer, conversations, answer, counts, left, **bar)
            seconds = time.monotonic() - start
            if counts is self._last_line.counts and whole_run() is not None:  # which is summed up at its end
                self._last_line.seconds += seconds
            else:
                logger.info("Scored %s.", counts.since(before).in_words(seconds))

    # what the host asks of a model

    @classmethod
    def create_from_arg_obj(cls, arg_dict: dict, additional_config: dict | None = None) -> "RewardLM":
        """The model of a command line; what `--model_args` says goes before flags such as `--device`.

        Raises:
            UserError: an option, the score cache or one of the run's tasks can't be used; all are looked at before the
                model is loaded.
        """
        flags = {key: value for key, value in (additional_config or {}).items() if value is not None}
        options = {**flags, **arg_dict}
        cls.check_options(options)
        cls.check_run(coming_evaluation(cls), cls.processes(options))
        return super().create_from_arg_obj(options)

    @classmethod
    def create_from_arg_string(cls, arg_string: str, additional_config: dict | None = None) -> "RewardLM":
        """The same from `name=value,name=value`."""
        return cls.create_from_arg_obj(simple_parse_args_string(arg_string), additional_config)

    def loglikelihood(self, requests: list[Instance], disable_tqdm: bool = False) -> list[tuple[float, bool]]:
        """The reward of each request's `(context, continuation)`, as `(Reward, False)`.

        A context that is no Conversation is one user message; a space before the continuation is the host's delimiter.

        Raises:
            UserError: a document has a single continuation, a reward is not finite, memory runs out, or the cache can't
                be written.
        """
        peers = self.peers if evaluated_model() is self else None  # with a cache in between, ranks are asked at will
        asked, places = all_requests(requests, peers)
        answers: list[tuple[float, bool]] = [(math.nan, False)] * len(asked)

        def keep(rewards: Answers) -> None:
            """Note rewards and hand them to the host's cache; those that are no numbers end the run, after all others."""
            bad = None
            for indices, reward in rewards:
                for i in indices:
                    answers[i] = (reward, False)
                    if math.isfinite(reward):
                        self.cache_hook.add_partial("loglikelihood", asked[i].args, answers[i])
                    else:
                        bad = bad or (asked[i], reward)
            if bad:
                request, reward = bad
                error = not_finite(request.where, request.args[0], reward)
                raise UserError(f"{error}; finite scores survive only under --use_cache")

        cached = "are in the cache: the same command goes on from there"
        left = cached if self._database is not None else "are lost: --use_cache keeps them"
        conversations = (conversation_of(*one.args) for one in asked)
        with score_cache.in_use(self._database):
            known = score_cache.ranked_tasks(self._database)
            score_cache.remember_ranked(self._database, refuse_unrankable(asked, known))
            hidden = disable_tqdm or self.rank != 0
            self._run(conversations, keep, self._last_line.counts, left, peers=peers, hidden=hidden)
        return [answers[place] for place in places]

    def loglikelihood_rolling(self, requests: list[Instance], disable_tqdm: bool = False):
        """Refused: a reward model has no likelihoods.

        Raises:
            UserError: always.
        """
        raise answer_is_missing(requests, "loglikelihood_rolling")

    def generate_until(self, requests: list[Instance], disable_tqdm: bool = False):
        """Refused: a reward model writes no text.

        Raises:
            UserError: always.
        """
        raise answer_is_missing(requests, "generate_until")

    @property
    def tokenizer_name(self) -> str:
        """Key of cached requests: ours hold messages, whatever the tokenizer."""
        return "reward"

    def chat_template(self, chat_template: bool | str = False) -> str | None:
        """The template in use, for the results file."""
        return self.renderer.template if chat_template else None

    def apply_chat_template(self, chat_history: list[Message], add_generation_prompt: bool = True) -> Conversation:
        """The messages themselves: they are rendered when the response is known."""
        return Conversation(chat_history)

    def fingerprint(self) -> dict[str, str]:
        """Everything that decides a score, in words: a score cache belongs to one such fingerprint."""
        return {
            **self.identity(),
            "attention": self.scorer.attention,
            "appended tokens": str(self.renderer.append),
            "chat template": self.renderer.template_sha256[:16],
            "chat template arguments": str(sorted(self.renderer.template_args.items())),
            "chat template date": str(self.renderer.template_date),
            "max length": str(self.renderer.max_length),
            "plugin": f"version {skywork_rb_plugin.__version__.split('.')[0]}",
        }

    def set_cache_hook(self, cache_hook) -> None:
        """Take the host's cache, if this model filled it.

        Raises:
            UserError: another model did, or this one under other settings.
        """
        self._database = cache_hook.dbdict
        if self._database is not None:
            # a run's own was read before its model was loaded
            check_file(self._database.filename, again=False)
            with score_cache.in_use(self._database):
                score_cache.claim(self._database, self.fingerprint())
        super().set_cache_hook(cache_hook)

    def get_model_info(self) -> dict:
        """What the host records of the model, and under `reward` what decided the scores.

        It is the last that the host asks of a model in a run: what the run came to is logged here.
        """
        counts = self._last_line.counts if self.peers is None else self.total_counts
        self._last_line.say(counts, cached=self._database is not None)
        reward = {
            **self.reward_info(),
            **self.scorer.settings(),
            "processes": self.world_size,
            "max_length": self.renderer.max_length,
            "chat_template_sha256": self.renderer.template_sha256,
            "chat_template_date": self.renderer.template_date,
            **counts.report(),
            "plugin_version": skywork_rb_plugin.__version__,
        }
        host = getattr(super(), "get_model_info", dict)  # not every LM of the host has it
        return {**host(), "reward": reward}
