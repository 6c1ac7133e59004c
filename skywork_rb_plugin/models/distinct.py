"""Scores distinct conversations, each once, and hands the rewards on as they come."""

import logging
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import closing

from skywork_rb_plugin.conversations import Message, Reward
from skywork_rb_plugin.errors import UserError
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
    """
    same: dict[str, list[int]] = {}
    for i, text in enumerate(renderer.render_all(conversations)):
        same.setdefault(text, []).append(i)
    known = {} if kept is None else {i: kept.get(text) for i, text in enumerate(same)}
    known = {i: score for i, score in known.items() if score is not None}
    rendered = Rendered(renderer, list(same), known.keys())
    if same:
        [ids] = renderer.encode(rendered.texts[:1])
        logger.info("The first conversation as the model sees it: %r", renderer.tokenizer.decode(list(ids))[:1000])
    progress = Progress(rendered.texts, hidden, delay)
    unanswered = set(rendered.texts)

    def tell(scores: Mapping[int, float]) -> None:
        """Hand rewards on."""
        rewards = [Reward(score, rendered.tokens[i], rendered.lost[i] > 0) for i, score in scores.items()]
        answer([(same[rendered.texts[i]], reward) for i, reward in zip(scores, rewards, strict=True)])
        unanswered.difference_update(rendered.texts[i] for i in scores)

    with progress, closing(scorer.run(rendered)) as stream:
        try:
            for scored in stream:
                progress.update(scored)
                counts.add(scored, [len(same[rendered.texts[i]]) for i in scored.conversations])
                if scored.scores:
                    fresh = dict(zip(scored.conversations, scored.scores, strict=True))
                    fresh = {i: score for i, score in fresh.items() if i not in known}
                    counts.conversations_truncated += sum(rendered.lost[i] > 0 for i in fresh)
                    counts.tokens_truncated += sum(rendered.lost[i] for i in fresh)
                    if kept is not None:
                        kept.update({rendered.texts[i]: score for i, score in fresh.items() if math.isfinite(score)})
                    tell(fresh)
        except KeyboardInterrupt:
            progress.say_interrupted(left)
            raise
        except OutOfMemory as error:
            raise UserError(f"{error}; scores finished before {left}") from error
    tell(known)
    if unanswered:
        raise RuntimeError(f"scoring by {scorer.name} left {len(unanswered)} conversations without a reward")
    if rendered.truncated:
        logger.warning(
            "%d of %d conversations do not fit into %d tokens and were cut %s.",
            rendered.truncated, len(rendered.texts), renderer.max_length, renderer.where_cut,
        )  # fmt: skip
