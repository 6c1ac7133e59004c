"""hf-pairwise: a Hugging Face model that compares two responses; a response's reward is how it does against the others."""

import itertools
import logging
import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from skywork_rb_plugin.conversations import Message, Reward, whole_conversation
from skywork_rb_plugin.errors import UserError
from skywork_rb_plugin.host import Instance
from skywork_rb_plugin.models.distinct import Answers
from skywork_rb_plugin.models.documents import Document
from skywork_rb_plugin.models.hf_reward import HFReward
from skywork_rb_plugin.models.requests import conversation_of, not_finite, refuse_unrankable
from skywork_rb_plugin.rendering.rendered import PROBES
from skywork_rb_plugin.scoring.batches import Kept
from skywork_rb_plugin.scoring.progress import Counts

logger = logging.getLogger(f"lm_eval.{__name__}")

# of one document; from here on the log says what they cost
_MANY_RESPONSES = 50
_CACHE = (
    "found --use_cache with --model hf-pairwise, expected it left out: a reward there depends on the document's other "
    "responses, and the harness stores it under one response alone"
)


class Comparison(NamedTuple):
    """Two responses to one prompt, in the order in which the model reads them."""

    prompt: tuple[Message, ...]
    first: str
    second: str

    @property
    def swapped(self) -> "Comparison":
        """The same in the other order."""
        return Comparison(self.prompt, self.second, self.first)

    @property
    def messages(self) -> list[Message]:
        """As renderers of models that compare take it: messages that end in both responses."""
        return [*self.prompt, *({"role": "assistant", "content": text} for text in (self.first, self.second))]


class HFPairwise(HFReward):
    """`--model hf-pairwise`: compares the responses of each document, all pairs in both orders.

    The family makes log-odds of a pair's two orders. A response's reward is the mean of its log-odds against all of its
    document's distinct responses, itself included with 0. Of two responses the difference of rewards is their log-odds, so
    that the better one is the reference's; of more, rewards are the Bradley-Terry scores closest to all log-odds, and half
    of what LLM-Blender ranks by (yuchenlin/LLM-Blender, llm_blender/gpt_eval/utils.py, get_scores_from_cmps, max_logits).

    n responses are n (n - 1) comparisons. Takes the options of hf-reward; see HFReward.
    """

    compares = True
    of_one_response = False
    probes = tuple(
        Comparison(probe[:1], probe[1]["content"], other).messages
        for probe, other in zip(PROBES, ("Bye", "Bye", "No."), strict=True)
    )

    # from Python

    def score(self, conversations: object, progress: bool = True) -> list[float]:
        """Refused: one response has no reward.

        Raises:
            UserError: always.
        """
        raise UserError(
            f"{self._name} compares two responses, so that a conversation alone has no reward; expected "
            "compare(prompt, a, b) in place of score"
        )

    def compare(self, prompt: str | Sequence[Mapping], a: str, b: str) -> float:
        """The log-odds that response `a` to a prompt is better than `b`, by both orders; above 0 where it is.

        Args:
            prompt: a string, or messages.
            a: one response.
            b: another.

        Raises:
            UserError: the prompt is none, the model's format refuses it, or memory runs out.
        """
        try:
            (*messages, _), _ = whole_conversation((prompt, a)), whole_conversation((prompt, b))
        except ValueError as error:
            raise UserError(str(error)) from error
        [(log_odds, _)] = self._compare([Comparison(tuple(messages), a, b)], Counts(), hidden=True)
        if not math.isfinite(log_odds):
            raise not_finite("the comparison", messages[0]["content"], log_odds)
        return log_odds

    def _compare(
        self, pairs: Sequence[Comparison], counts: Counts, hidden: bool, kept: Kept | None = None
    ) -> list[tuple[float, bool]]:
        """Log-odds of each pair, NaN where the model gives such, and whether it was cut in any order."""
        values: list[Reward] = [Reward(math.nan)] * (2 * len(pairs))

        def note(answers: Answers) -> None:
            for indices, value in answers:
                for i in indices:
                    values[i] = value

        both = (order.messages for pair in pairs for order in (pair, pair.swapped))
        left = "are lost" if kept is None else "are kept"
        self._run(both, note, counts, left, hidden=hidden, kept=kept)
        log_odds = self.family.family.log_odds
        return [
            (log_odds(first, swapped) if math.isfinite(first + swapped) else math.nan, bool(first.cut or swapped.cut))
            for first, swapped in zip(values[::2], values[1::2], strict=True)
        ]

    # what the host asks of a model

    @classmethod
    def check_run(cls, run: Mapping | None, processes: int) -> None:
        """The tasks; a score cache is refused.

        Raises:
            UserError: one of them can't be used.
        """
        if run is not None and run.get("use_cache"):
            raise UserError(_CACHE)
        super().check_run(run, processes)

    def set_cache_hook(self, cache_hook) -> None:
        """Take the host's hook, which has no cache.

        Raises:
            UserError: it has one.
        """
        if cache_hook.dbdict is not None:
            raise UserError(_CACHE)
        super().set_cache_hook(cache_hook)

    def loglikelihood(self, requests: list[Instance], disable_tqdm: bool = False) -> list[tuple[float, bool]]:
        """The reward of each request's response among those of its document, as `(Reward, False)`.

        Raises:
            UserError: a document has a single response or several prompts, a comparison is not finite, or memory runs out.
        """
        refuse_unrankable(requests, None)
        found: dict[tuple, list[int]] = defaultdict(list)
        for i, request in enumerate(requests):
            found[request.task_name, request.doc_id].append(i)
        documents = [
            Document(f"task {task}, document {document}", [conversation_of(*requests[i].args) for i in indices])
            for (task, document), indices in found.items()
        ]
        rewards = self._ranked(documents, self._last_line.counts, disable_tqdm or self.rank != 0)
        answers: list[tuple[float, bool]] = [(math.nan, False)] * len(requests)
        for indices, each in zip(found.values(), rewards, strict=True):
            for i, reward in zip(indices, each, strict=True):
                answers[i] = (reward, False)
        return answers

    def score_documents(
        self, documents: Sequence[Document], counts: Counts, kept: Kept | None = None
    ) -> list[list[float]]:
        """The rewards of documents' responses, each among its document's; what is kept are comparisons."""
        return [list(map(float, rewards)) for rewards in self._ranked(documents, counts, True, kept)]

    def _ranked(
        self, documents: Sequence[Document], counts: Counts, hidden: bool, kept: Kept | None = None
    ) -> list[list[Reward]]:
        read = [_prompt_and_places(document) for document in documents]
        pairs = [Comparison(prompt, *two) for prompt, places in read for two in itertools.combinations(places, 2)]
        most = max((len(places) for _, places in read), default=0)
        logger.info("%d documents make %d comparisons, each pair in both orders.", len(documents), 2 * len(pairs))
        if most > _MANY_RESPONSES:
            logger.warning(
                "A document has %d responses, which are %d comparisons: they grow with the square. A task with fewer "
                "responses, or --limit, takes less.", most, most * (most - 1),
            )  # fmt: skip
        results = iter(self._compare(pairs, counts, hidden, kept))
        answers = [[Reward(math.nan)] * len(document.conversations) for document in documents]
        for document, (prompt, places), rewards in zip(documents, read, answers, strict=True):
            totals, cut = dict.fromkeys(places, 0.0), dict.fromkeys(places, False)
            for first, second in itertools.combinations(places, 2):
                log_odds, was_cut = next(results)
                totals[first] += log_odds
                totals[second] -= log_odds
                cut[first], cut[second] = cut[first] or was_cut, cut[second] or was_cut
            for response, indices in places.items():
                reward = totals[response] / len(places)
                if not math.isfinite(reward):
                    raise not_finite(f"{document.name}, response {indices[0]}", prompt[-1]["content"], reward)
                for i in indices:
                    rewards[i] = Reward(reward, cut=cut[response])
        return answers

    def reward_info(self) -> dict[str, object]:
        """For the results file."""
        return {**super().reward_info(), "reward": "mean log-odds against the document's responses, in both orders"}


def _prompt_and_places(document: Document) -> tuple[tuple[Message, ...], dict[str, list[int]]]:
    """The prompt of a document, and of each of its distinct responses where it is.

    Raises:
        UserError: its responses are to different prompts.
    """
    places, (prompt, *others) = defaultdict(list), [list(messages[:-1]) for messages in document.conversations]
    if any(other != prompt for other in others):
        raise UserError(
            f"{document.name}: found responses to different prompts, expected one prompt, since hf-pairwise compares "
            "responses to it; leave it out, or score it with --model hf-reward"
        )
    for i, messages in enumerate(document.conversations):
        places[messages[-1]["content"]].append(i)
    return tuple(prompt), places
