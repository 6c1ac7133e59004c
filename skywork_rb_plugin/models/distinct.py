"""Scores distinct conversations, each once, and hands the rewards on as they come."""

import logging
from collections.abc import Callable, Iterable, Sequence
from contextlib import closing

from skywork_rb_plugin.conversations import Message, Reward
from skywork_rb_plugin.rendering.rendered import Rendered
from skywork_rb_plugin.rendering.renderer import Renderer
from skywork_rb_plugin.scoring.batches import Scorer
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
    """
    same: dict[str, list[int]] = {}
    for i, text in enumerate(renderer.render_all(conversations)):
        same.setdefault(text, []).append(i)
    rendered = Rendered(renderer, list(same))
    if same:
        [ids] = renderer.encode(rendered.texts[:1])
        logger.info("The first conversation as the model sees it: %r", renderer.tokenizer.decode(list(ids))[:1000])
    progress = Progress(rendered.texts, hidden, delay)
    unanswered = set(rendered.texts)
    with progress, closing(scorer.run(rendered)) as stream:
        try:
            for scored in stream:
                where = [same[rendered.texts[i]] for i in scored.conversations]
                if scored.scores:
                    rewards = [
                        Reward(score, rendered.tokens[i], rendered.lost[i] > 0)
                        for i, score in zip(scored.conversations, scored.scores, strict=True)
                    ]
                    answer(list(zip(where, rewards, strict=True)))
                    unanswered.difference_update(rendered.texts[i] for i in scored.conversations)
                progress.update(scored)
                counts.add(scored, [len(indices) for indices in where])
        except KeyboardInterrupt:
            progress.say_interrupted(left)
            raise
    if unanswered:
        raise RuntimeError(f"scoring by {scorer.name} left {len(unanswered)} conversations without a reward")
    counts.conversations_truncated += rendered.truncated
    counts.tokens_truncated += sum(rendered.lost)
    if rendered.truncated:
        logger.warning(
            "%d of %d conversations do not fit into %d tokens and were cut %s.",
            rendered.truncated, len(rendered.texts), renderer.max_length, renderer.where_cut,
        )  # fmt: skip
