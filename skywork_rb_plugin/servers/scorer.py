"""Scores conversations by way of a reward server: batches in the order of their prefixes, several under way."""

import logging
import math
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from concurrent.futures import TimeoutError as Late
from contextlib import closing
from typing import NamedTuple

from skywork_rb_plugin.errors import UserError
from skywork_rb_plugin.rendering.as_text import TextRenderer
from skywork_rb_plugin.rendering.renderer import Renderer
from skywork_rb_plugin.scoring.batches import Conversations, Scored, ahead, chunks
from skywork_rb_plugin.servers.access import Access, AnotherModel, Refused, ServerError
from skywork_rb_plugin.servers.connection import Connection
from skywork_rb_plugin.servers.protocols import PROTOCOLS, Input, Served
from skywork_rb_plugin.servers.rewards import rewards
from skywork_rb_plugin.servers.scale import IN_0_1, Scale, alike

logger = logging.getLogger(f"lm_eval.{__name__}")

# characters tokenized at a time, while requests are under way
_CHARACTERS = 1_000_000
# seconds for what is under way when the server wants nothing more, and to look at its model after a failure
_GRACE = 3.0


class Batch(NamedTuple):
    """A request for scores.

    Attributes:
        numbers: of the conversations.
        inputs: what is sent of each.
        sent: how many tokens that is.
        lengths: how many tokens each has.
    """

    numbers: list[int]
    inputs: list[Input]
    sent: list[int]
    lengths: list[int]


class ServedScorer:
    """Sends conversations to a server, each up to the last token that the head reads.

    Args:
        access: the server.
        protocol: by name.
        served: what it said it runs.
        renderer: what made the conversations; of a protocol that takes texts, one that knows which text gives which ids.
        batch_size: conversations a request.
        last: token ids of a conversation -> index of the token that the head reads; all servers read the last one.
        label: of several labels, the number of the one that counts.
        labels: how many the model has, where that is known.

    Attributes:
        probes: scores of a few different conversations, by which the model is known again; see `probe`.
    """

    name, attention = "server", "of the server"

    def __init__(
        self,
        access: Access,
        protocol: str,
        served: Served,
        renderer: Renderer,
        batch_size: int,
        last: Callable[[Sequence[int]], int],
        label: int | None = None,
        labels: int | None = None,
    ) -> None:
        self.access, self.protocol, self.served, self.scale = access, PROTOCOLS[protocol], served, Scale()
        self._renderer, self._batch_size, self._last = renderer, batch_size, last
        self._label, self._labels = label, labels
        self.probes: list[float] = []
        self._heard = 0.0

    def settings(self) -> dict[str, object]:
        """How it scores, for the results file."""
        return {
            "attention": self.attention,
            "scoring": self.name,
            "tokens_per_pack": None,
            "batch_size": self._batch_size,
            "num_concurrent": self.access.num_concurrent,
            "compiled": False,
            "scale": self.scale.name,
            "scores_saturated": self.scale.saturated,
        }

    def run(self, conversations: Conversations) -> Iterator[Scored]:
        """Score conversations that are not done; of those that begin alike, one soon after the other.

        What is under way when a request fails for good is waited for, so that no score is lost; not long where the server
        refuses everything. The model is looked at once more at the end, also after a failure.

        Raises:
            ServerError: the server can't be used any more; AnotherModel where it runs another model.
        """
        failure: UserError | None = None
        scale, saturated = self.scale.name, self.scale.saturated
        with Connection(self.access) as connection, closing(self._batches(conversations)) as batches:
            under_way: dict[Future, Batch] = {}
            any_left, until = True, math.inf
            while under_way or (any_left and not failure):
                while any_left and not failure and len(under_way) < self.access.num_concurrent:
                    try:
                        batch = next(batches, None)
                    except UserError as error:
                        failure = error
                        break
                    if any_left := batch is not None:
                        under_way[connection.start(self._ask(connection, batch))] = batch
                seconds = None if until == math.inf else max(0.0, until - time.monotonic())
                finished = wait(under_way, seconds, FIRST_COMPLETED).done
                if under_way and not finished:
                    break
                for done in finished:
                    batch = under_way.pop(done)
                    try:
                        scores = done.result()
                    except UserError as error:
                        if isinstance(error, Refused):
                            until = min(until, time.monotonic() + _GRACE)
                        failure = error if failure is None or isinstance(error, AnotherModel) else failure
                        continue
                    self.scale.learn(scores)
                    yield Scored(batch.numbers, scores, batch.lengths, sum(batch.sent), 0)
            self._end(connection, failure)
        self._warn(scale, saturated)

    def _end(self, connection: Connection, failure: UserError | None) -> None:
        """Look whether it is the same model still.

        Raises:
            UserError: it is not; else the failure that there was.
        """
        checked = connection.start(connection.once(lambda: self._check_model(connection), self._heard))
        try:
            checked.result(_GRACE if failure else None)
        except AnotherModel:
            raise
        except (UserError, Late):
            # of a server that is gone nothing can be known
            if failure is None:
                raise
        if failure:
            raise failure

    def _batches(self, conversations: Conversations) -> Iterator[Batch]:
        """What is to be asked, tokenized while requests are under way."""
        texts = conversations.texts
        pieces = ([i for i in piece if i not in conversations.done] for piece in chunks(texts, _CHARACTERS))
        encoded = ((piece, conversations.encode(piece)) for piece in pieces if piece)
        with closing(ahead(encoded)) as encoded:
            for piece, ids in encoded:
                ordered = sorted((tuple(one), i) for i, one in zip(piece, ids, strict=True))
                for start in range(0, len(ordered), self._batch_size):
                    some = ordered[start : start + self._batch_size]
                    yield self._batch([i for _, i in some], [texts[i] for _, i in some], [one for one, _ in some])

    def _batch(self, numbers: list[int], texts: Sequence[str], ids: Sequence[Sequence[int]]) -> Batch:
        cut = [list(map(int, one[: self._last(one) + 1])) for one in ids]
        inputs = cut
        if isinstance(self._renderer, TextRenderer):
            inputs = [self._renderer.text_of(text, one) for text, one in zip(texts, cut, strict=True)]
        return Batch(numbers, inputs, list(map(len, cut)), list(map(len, ids)))

    def probe(self, texts: Sequence[str], ids: Sequence[Sequence[int]]) -> None:
        """Score a few different conversations, which show whether scores are logits, and which model gives them.

        Raises:
            ServerError: the server can't be used, or gives all of them the same score or one that is no number.
        """
        self._probed = self._batch(list(range(len(texts))), texts, ids)
        with Connection(self.access) as connection:
            raw = connection.start(self._scores(connection, self._probed)).result()
            activated = None
            # what it makes of several labels is no sigmoid
            if self.protocol.switches and self._label is None:
                activated = connection.start(self._scores(connection, self._probed, activation=True)).result()
        if not all(map(math.isfinite, raw)) or len(set(raw)) == 1:
            raise ServerError(
                f"{self.access.root}: found the scores {self.access.quoted(sorted(set(raw)))} for {len(raw)} different conversations, "
                "expected different numbers (a softmax of one label is always 1: its server must be told to leave the activation "
                "out)"
            )
        self.probes = raw
        self.scale.learn(raw, activated)
        if self.scale.name == IN_0_1:
            logger.warning(
                "All scores that %s gives %d different conversations are between 0 and 1: a sigmoid seems to have made them, and "
                "they are no logits. They are taken as they are: pairs are ranked alike unless scores saturate, but margins and "
                "losses are those of probabilities. Start the server so that it leaves the activation out, if it can.",
                self.access.root, len(raw),
            )  # fmt: skip

    def _warn(self, scale: str, saturated: int) -> None:
        if self.scale.name != scale:
            logger.warning("Some scores are outside [0, 1]: those of %s are logits after all.", self.access.root)
        if self.scale.saturated > saturated:
            logger.warning(
                "%d scores are exactly 0 or 1: the sigmoid of the server has no room for what they were, and pairs of them tie.",
                self.scale.saturated - saturated,
            )

    async def _ask(self, connection: Connection, batch: Batch) -> list[float]:
        """The rewards of one request; where the server may have been away meanwhile, it must be the same as before."""
        reply = await self._reply(connection, batch)
        heard = self._heard = time.monotonic()
        if reply.tries > 1 or reply.anew:
            await connection.once(lambda: self._check_model(connection), heard)
        return self._read(reply, batch)

    async def _scores(self, connection: Connection, batch: Batch, activation: bool = False) -> list[float]:
        return self._read(await self._reply(connection, batch, activation), batch)

    async def _reply(self, connection: Connection, batch: Batch, activation: bool = False):
        body = self.protocol.body(batch.inputs, self.served.model, activation)
        return await connection.ask(self.protocol.path, body)

    def _read(self, reply, batch: Batch) -> list[float]:
        where = f"{self.access.root}{self.protocol.path}"
        if reply.status != 200:
            raise ServerError(
                f"{where}: found status {reply.status} with {self.access.quoted(reply.content)!r} for {len(batch.inputs)} "
                f"conversations of up to {max(batch.sent)} tokens, expected scores; if that is too much for the server, give a "
                "smaller batch_size=… or max_length=… in --model_args"
            )
        return rewards(where, reply, self.protocol, batch.sent, self.served, self._label, self._labels)

    async def _check_model(self, connection: Connection) -> None:
        """Ask what it says it runs, and for the scores that it gave when it was found.

        Raises:
            AnotherModel: one of them is another.
        """
        try:
            now = await self.protocol.serves(connection.ask, self.served.model)
            different = now.differences(self.served)
        except ServerError:
            raise
        except UserError as error:
            different = [str(error)]
        if not different:
            scores = await self._scores(connection, self._probed)
            if not alike(scores, self.probes):
                different = [f"the scores {scores} of a few conversations, not {self.probes}"]
        if different:
            raise AnotherModel(
                f"{self.access.root}: found another model there than before: {'; '.join(different)}, expected the same until the end"
            )
