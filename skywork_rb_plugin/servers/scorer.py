"""Scores conversations by way of a reward server: batches in the order of their prefixes, several under way."""

import logging
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait

from skywork_rb_plugin.rendering.as_text import TextRenderer
from skywork_rb_plugin.rendering.renderer import Renderer
from skywork_rb_plugin.scoring.batches import Conversations, Scored
from skywork_rb_plugin.servers.access import Access, AnotherModel, NoAnswer, ServerError
from skywork_rb_plugin.servers.connection import Connection
from skywork_rb_plugin.servers.protocols import PROTOCOLS, Input, Served
from skywork_rb_plugin.servers.rewards import rewards
from skywork_rb_plugin.servers.scale import IN_0_1, Scale

logger = logging.getLogger(f"lm_eval.{__name__}")

# difference of two scores of one conversation that rounding explains, in half precision and another batch too
_SAME = 0.1


class ServedScorer:
    """Sends conversations to a server.

    Args:
        access: the server.
        protocol: by name.
        served: what it said it runs.
        renderer: what made the conversations; of a protocol that takes texts, one that knows which text gives which ids.
        batch_size: conversations a request.
        label: of several labels, the number of the one that counts.
        last: token ids of a conversation -> the index of the token that is read; what follows it is not sent, since servers
            read the last one.
    """

    name, attention = "server", "of the server"

    def __init__(
        self,
        access: Access,
        protocol: str,
        served: Served,
        renderer: Renderer,
        batch_size: int,
        label: int | None,
        last: Callable[[Sequence[int]], int] = lambda ids: len(ids) - 1,
    ) -> None:
        self.access, self.protocol, self.served, self.scale = access, PROTOCOLS[protocol], served, Scale()
        self._renderer, self._batch_size, self._label, self._last = renderer, batch_size, label, last
        self._trial: tuple[str, Sequence[int], float] | None = None

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
        """Score all conversations; of those that begin alike, one soon after the other.

        What is under way when a request fails for good is waited for, so that no score is lost.

        Raises:
            ServerError: the server can't be used any more.
        """
        left = [i for i in range(len(conversations.texts)) if i not in conversations.done]
        ids = dict(zip(left, conversations.encode(left), strict=True))
        order = sorted(left, key=lambda i: tuple(ids[i]))
        size = self._batch_size
        batches = deque(order[start : start + size] for start in range(0, len(order), size))
        failure, saturated, scale = None, self.scale.saturated, self.scale.name
        with Connection(self.access) as connection:
            under_way: dict[Future, list[int]] = {}
            while under_way or (batches and not failure):
                while batches and not failure and len(under_way) < self.access.num_concurrent:
                    batch = batches.popleft()
                    asked = self._ask(connection, [conversations.texts[i] for i in batch], [ids[i] for i in batch])
                    under_way[connection.start(asked)] = batch
                for done in wait(under_way, return_when=FIRST_COMPLETED).done:
                    batch = under_way.pop(done)
                    try:
                        scores = done.result()
                    except Exception as error:  # what others bring meanwhile is kept, whatever it is
                        failure = failure or error
                        continue
                    self.scale.learn(scores)
                    lengths = [len(ids[i]) for i in batch]
                    yield Scored(batch, scores, lengths, sum(lengths), 0)
            # also after a failure: what came before it may be another model's
            if ids and not isinstance(failure, (NoAnswer, AnotherModel)):
                connection.start(self._check_model(connection)).result()
            if failure:
                raise failure
        if self.scale.name != scale:
            logger.warning("There are scores of %s outside [0, 1]: they are logits after all.", self.access.root)
        if self.scale.saturated > saturated:
            logger.warning(
                "%d scores are exactly 0 or 1: the sigmoid of the server has no room for what they were, and pairs of them tie.",
                self.scale.saturated - saturated,
            )

    def learn_scale(self, texts: Sequence[str], ids: Sequence[Sequence[int]]) -> list[float]:
        """The scores of a few different conversations, which show whether they are logits.

        Raises:
            ServerError: the server can't be used, or gives all of them the same score.
        """
        with Connection(self.access) as connection:
            raw = connection.start(self._ask(connection, texts, ids)).result()
            activated = None
            if self.protocol.switches:
                activated = connection.start(self._ask(connection, texts, ids, activation=True)).result()
        if len(raw) > 1 and len(set(raw)) == 1:
            raise ServerError(
                f"{self.access.root}: found the score {raw[0]} for each of {len(raw)} different conversations, expected a reward "
                "model's (a softmax of one label is always 1: its server must be told to leave the activation out)"
            )
        self.scale.learn(raw, activated)
        self._trial = texts[0], ids[0], raw[0]
        if self.scale.name == IN_0_1:
            logger.warning(
                "All scores that %s gives %d different conversations are between 0 and 1: a sigmoid seems to have made them, and "
                "they are no logits. They are taken as they are: pairs are ranked alike unless scores saturate, but margins and "
                "losses are those of probabilities. Start the server so that it leaves the activation out, if it can.",
                self.access.root, len(raw),
            )  # fmt: skip
        return raw

    def _inputs(self, texts: Sequence[str], ids: Sequence[Sequence[int]]) -> list[Input]:
        if isinstance(self._renderer, TextRenderer):
            return [self._renderer.text_of(text, one) for text, one in zip(texts, ids, strict=True)]
        return [list(map(int, one)) for one in ids]

    async def _ask(
        self,
        connection: Connection,
        texts: Sequence[str],
        ids: Sequence[Sequence[int]],
        activation: bool = False,
        check: bool = True,
    ) -> list[float]:
        """The rewards of one request; where the server may have been away meanwhile, it must be the same as before."""
        ids = [one[: self._last(one) + 1] for one in ids]
        inputs, lengths = self._inputs(texts, ids), [len(one) for one in ids]
        path, where = self.protocol.path, f"{self.access.root}{self.protocol.path}"
        reply = await connection.ask(path, self.protocol.body(inputs, self.served.model, activation))
        if check and (reply.tries > 1 or reply.anew):
            await self._check_model(connection)
        if reply.status != 200:
            raise ServerError(
                f"{where}: found status {reply.status} with {self.access.quoted(reply.content)!r} for {len(inputs)} conversations "
                f"of up to {max(lengths)} tokens, expected scores; if that is too much for the server, give a smaller "
                "batch_size=… or max_length=… in --model_args"
            )
        try:
            return rewards(where, reply, self.protocol, lengths, self._label, self.served.model)
        except ServerError as error:
            raise type(error)(self.access.hidden(str(error))) from error

    async def _check_model(self, connection: Connection) -> None:
        """Raises AnotherModel where the server says that it has one, or gives another score to the first conversation."""
        now = await self.protocol.serves(connection.ask, self.served.model)
        if now != self.served:
            found, before = (f"{one.model or 'no name'} ({one.root}, {dict(one.told)})" for one in (now, self.served))
            raise AnotherModel(
                self.access.hidden(
                    f"{self.access.root}: found another model there than before, {found}, expected {before}"
                )
            )
        if self._trial is not None and not self.served.told:
            text, ids, before = self._trial
            [score] = await self._ask(connection, [text], [ids], check=False)
            if not abs(score - before) <= _SAME * max(1, abs(before)):
                raise AnotherModel(
                    f"{self.access.root}: found the score {score} of a conversation that had {before} when this run began: is it "
                    "another model's?"
                )
