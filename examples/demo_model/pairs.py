"""Training pairs of the demo model in the four sections, made from word lists and templates of our own."""

from collections.abc import Callable
from random import Random
from typing import NamedTuple

import phrases
import phrases_harmful
import phrases_harmless
import words
from hard_pairs import HARD_KINDS
from reasoning_pairs import REASONING_KINDS
from sentences import answer, capital, question, topic, verb

Texts = tuple[str, str, str]


class Pair(NamedTuple):
    """One preference pair: the section and kind it belongs to, a prompt, the better and the worse answer."""

    subset: str
    kind: str
    prompt: str
    chosen: str
    rejected: str


def _some(rng: Random, options: list[str], low: int, high: int) -> str:
    return " ".join(rng.sample(options, rng.randint(low, high)))


def _ask(rng: Random) -> tuple[str, str]:
    """Return a question and an on-topic answer to it."""
    bare, doing = topic(rng), verb(rng)
    return question(rng, bare, doing), answer(rng, bare, doing)


def off_topic(rng: Random) -> Texts:
    """An answer about the topic against one about another topic."""
    return *_ask(rng), answer(rng, topic(rng), verb(rng))


def evasive(rng: Random) -> Texts:
    """An answer against one that says nothing."""
    return *_ask(rng), _some(rng, words.EVASIVE, 1, 4)


def rude(rng: Random) -> Texts:
    """An answer against an insult."""
    return *_ask(rng), _some(rng, words.RUDE, 1, 4)


def broken_off(rng: Random) -> Texts:
    """A complete answer against one that stops in the middle of a sentence."""
    bare, doing = topic(rng), verb(rng)
    parts = " ".join(answer(rng, bare, doing) for _ in range(rng.choice((1, 2, 2)))).split()
    cut = parts[: rng.randint(3, len(parts) - 1)]
    return question(rng, bare, doing), answer(rng, bare, doing), " ".join(cut).rstrip(".,;:!?")


def garbled(rng: Random) -> Texts:
    """A readable answer against shuffled words, with some words doubled and at times letters thrown in."""
    bare, doing = topic(rng), verb(rng)
    parts = answer(rng, bare, doing).lower().replace(".", "").split()
    parts += rng.sample(parts, rng.randint(0, len(parts) // 3))
    parts += rng.sample(words.JUNK, rng.choice((0, 0, 0, 1, 3)))
    rng.shuffle(parts)
    parts = parts[: rng.randint(len(parts) // 2, len(parts))]
    return question(rng, bare, doing), answer(rng, bare, doing), capital(" ".join(parts)) + "."


def _refusal(rng: Random, deed: str) -> str:
    if rng.random() < 0.5:
        parts = [rng.choice(phrases.REFUSAL_OPENERS)]
    else:
        parts = [rng.choice(phrases.REFUSAL_OPENERS_WITH_DEED).format(deed=deed)]
    if rng.random() < 0.6:
        parts.append(rng.choice(phrases.REFUSAL_REASONS))
    if rng.random() < 0.3:
        parts.append(rng.choice(phrases.REFUSAL_OFFERS))
    return " ".join(parts)


def _comply(rng: Random, bare: str, doing: str) -> str:
    """Return a willing answer without any real detail; the same mix serves good and bad requests."""
    choice = rng.random()
    if choice < 0.3:
        return f"{rng.choice(phrases.COMPLY_OPENERS)} {rng.choice(phrases.COMPLY_STEPS)}"
    if choice < 0.5:
        return f"{rng.choice(phrases.COMPLY_OPENERS)} {answer(rng, bare, doing)}"
    return rng.choice(phrases.COMPLY_STEPS) if choice < 0.6 else answer(rng, bare, doing)


def harmful(rng: Random) -> Texts:
    """A refusal of a harmful request against a willing answer."""
    fillers = {slot: rng.choice(options) for slot, options in phrases_harmful.SLOTS.items()}
    wish = rng.choice(phrases_harmful.HARMS).format(**fillers)
    prompt = rng.choice(phrases.WISHES).format(wish=wish)
    deed = rng.choice(phrases.DEEDS)
    return prompt, _refusal(rng, deed), _comply(rng, wish.split()[-1], wish.split()[0])


def lookalike(rng: Random) -> Texts:
    """Help with a harmless request that only sounds harmful, against a refusal."""
    if rng.random() < 0.5:
        wish, deed, bare = rng.choice(phrases_harmless.LOOKALIKES)
    else:
        (loud, deed), bare = rng.choice(phrases_harmless.LOUD_VERBS), topic(rng)
        place = f" {rng.choice(words.PLACES)}" if rng.random() < 0.4 else ""
        wish = f"{loud} {rng.choice(('the', 'a', 'my', 'some'))} {bare}{place}"
    prompt = rng.choice(phrases.WISHES).format(wish=wish)
    return prompt, _comply(rng, bare, wish.split()[0]), _refusal(rng, deed)


def needless_refusal(rng: Random) -> Texts:
    """Help with a plain everyday request against a refusal."""
    return *_ask(rng), _refusal(rng, rng.choice(phrases.DEEDS))


# For each section, its kinds of pairs, each with its share within the section.
KINDS: dict[str, dict[Callable[[Random], Texts], float]] = {
    "chat": {off_topic: 3, evasive: 1, rude: 1, broken_off: 1.5, garbled: 1.5},
    "chat-hard": HARD_KINDS,
    "safety": {harmful: 3, lookalike: 2.5, needless_refusal: 0.5},
    "reasoning": REASONING_KINDS,
}
SECTION_SHARES = {"chat": 0.2, "chat-hard": 0.26, "safety": 0.12, "reasoning": 0.42}


def make_pairs(count: int, seed: int) -> list[Pair]:
    """Return ``count`` training pairs; the same seed gives the same pairs in the same order."""
    rng = Random(seed)
    sections = rng.choices(list(SECTION_SHARES), list(SECTION_SHARES.values()), k=count)
    return [_make_pair(rng, section) for section in sections]


def _make_pair(rng: Random, section: str) -> Pair:
    kinds = KINDS[section]
    while True:
        (kind,) = rng.choices(list(kinds), list(kinds.values()))
        prompt, chosen, rejected = kind(rng)
        if chosen != rejected:
            return Pair(section, kind.__name__, prompt, chosen, rejected)
