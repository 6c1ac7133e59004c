"""Scores distinct conversations, each once, and hands the rewards on as they come."""

import logging
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import closing, nullcontext
from operator import attrgetter

from skywork_rb_plugin.conversations import Message, Reward
from skywork_rb_plugin.errors import UserError
from skywork_rb_plugin.models.processes import Peers
from skywork_rb_plugin.models.shares import part
from skywork_rb_plugin.rendering.rendered import Rendered
from skywork_rb_plugin.rendering.renderer import Renderer
from skywork_rb_plugin.scoring.batches import Kept, Scorer
from skywork_rb_plugin.scoring.budget import OutOfMemory
from skywork_rb_plugin.scoring.progress import Counts, Progress

logger = logging.getLogger(f"lm_eval.{__name__}")

# what one forward pass gave: rewards, each with the indices of the requests that asked for it
Answers = list[tuple[list[int], Reward]]


def score_distinct(
    renderer: Renderer,
    scorer: Scorer,
    conversations: Iterable[Sequence[Message]],
    answer: Callable[[Answers], None],
    counts: Counts,
    left: str,
    hidden: bool,
    delay: float = 0,
    kept: Kept | None = None,
    peers: Peers | None = None,
) -> None:
    """Score conversations; those that are rendered alike are scored once.

    Args:
        renderer: makes text of them.
        scorer: makes rewards of that.
        conversations: the messages of each.
        answer: takes rewards with the indices of the conversations.
        counts: what is added to.
        left: what becomes of scores when the run is interrupted, for the log.
        hidden: whether no bar is shown.
        delay: seconds until one is.
        kept: where rewards outlive the run; those that it has are answered last, and not counted.
        peers: processes that have the same conversations and share the work; what others score is answered last and
            counted by them.

    Raises:
        UserError: memory runs out, or another of the processes has ended.
    """
    same: dict[str, list[int]] = {}
    for i, text in enumerate(renderer.render_all(conversations)):
        same.setdefault(text, []).append(i)
    texts = list(same)
    # where own ones are among all
    place = range(len(texts)) if peers is None else part(texts, peers.rank, peers.size, once=scorer.name == "tree")
    own = [texts[i] for i in place]
    known = {} if kept is None else {i: kept.get(text) for i, text in enumerate(own)}
    known = {i: score for i, score in known.items() if score is not None}
    rendered = Rendered(renderer, own, known.keys())
    is_first = peers is None or peers.rank == 0
    if texts and is_first:
        [ids] = renderer.encode(texts[:1])
        logger.info("The first conversation as the model sees it: %r", renderer.tokenizer.decode(list(ids))[:1000])
    progress = Progress(own, hidden, delay)
    rewards: dict[int, Reward] = {}  # by their places

    def tell(scores: Mapping[int, float]) -> None:
        """Hand rewards on."""
        note({place[i]: Reward(score, rendered.tokens[i], rendered.lost[i] > 0) for i, score in scores.items()})

    def note(fresh: Mapping[int, Reward]) -> None:
        answer([(same[texts[i]], reward) for i, reward in fresh.items()])
        rewards.update(fresh)

    together = nullcontext(lambda: None) if peers is None else peers.together()
    with together as look_for_failures, progress, closing(scorer.run(rendered)) as stream:
        try:
            for scored in stream:
                look_for_failures()
                counts.add(scored, [len(same[own[i]]) for i in scored.conversations])
                if scored.scores:
                    fresh = dict(zip(scored.conversations, scored.scores, strict=True))
                    fresh = {i: score for i, score in fresh.items() if i not in known}
                    counts.conversations_truncated += sum(rendered.lost[i] > 0 for i in fresh)
                    counts.tokens_truncated += sum(rendered.lost[i] for i in fresh)
                    if kept is not None:
                        kept.update({own[i]: score for i, score in fresh.items() if math.isfinite(score)})
                    tell(fresh)
                progress.update(scored)  # what the bar has counted is kept
        except KeyboardInterrupt:
            progress.say_interrupted(left)
            raise
        except OutOfMemory as error:
            raise UserError(f"{error}; scores finished before {left}") from error
    tell(known)
    if peers is not None:
        for rank, others in enumerate(peers.exchange(rewards)):
            if rank != peers.rank:
                note(others)
    if unanswered := len(texts) - len(rewards):
        raise RuntimeError(f"scoring by {scorer.name} left {unanswered} conversations without a reward")
    if (cut := sum(map(attrgetter("cut"), rewards.values()))) and is_first:
        logger.warning(
            "%d of %d conversations do not fit into %d tokens and were cut %s.",
            cut, len(texts), renderer.max_length, renderer.where_cut,
        )  # fmt: skip
