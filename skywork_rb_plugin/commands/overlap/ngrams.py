"""n-grams of words that prompts have in common, found by an index. Needs no torch."""

import re
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import chain

# Thai and Lao, Burmese, Khmer, Japanese, Chinese: no spaces between words, so each character is one
_UNSPACED = re.compile(
    "[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3005-\u3007\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\U00020000-\U0003ffff]"
)
# letters and digits with the signs written on them, which \w leaves out: accents, Hebrew and Arabic points, Indic vowels
_WORD = re.compile(
    r"[\w\u0300-\u036f\u0591-\u05bd\u05bf-\u05c7\u0610-\u061a\u064b-\u065f\u0670\u06d6-\u06ed\u0900-\u0963\u0966-\u0dff]+"
)

Words = tuple[str, ...]
# the words of each turn
Turns = list[list[str]]
# a training row: the name of its file, and its number from 0
Place = tuple[str, int]


@dataclass
class Overlap:
    """What an evaluation prompt shares with the training prompts.

    `share` is the largest fraction of its n-grams that one training prompt has (0 to 1); `place` is that training row
    and `ngram` the first n-gram in common with it; `places` are the training rows at or above the threshold;
    `identical` says whether some training prompt has the same words throughout.
    """

    share: float = 0.0
    place: Place | None = None
    ngram: Words = ()
    places: list[Place] = field(default_factory=list)
    identical: bool = False


def words_of(text: str) -> list[str]:
    """Words: runs of letters and digits after NFKC and case folding; in scripts without spaces each character is a word.

    A text without any letter or digit is split at its spaces.
    """
    text = unicodedata.normalize("NFKC", text).casefold()
    return _WORD.findall(_UNSPACED.sub(r" \g<0> ", text)) or text.split()


def ngrams_of(turns: Turns, n: int) -> list[Words]:
    """The distinct n-grams of all turns in a row, in order; a prompt of fewer than n words is one, as a whole."""
    words = list(chain.from_iterable(turns))
    if len(words) < n:
        return [tuple(words)] if words else []
    return list(dict.fromkeys(zip(*(words[start:] for start in range(n)), strict=False)))


def find_overlap(
    prompts: Sequence[Turns], training: Iterable[tuple[Place, Turns]], n: int, threshold: float
) -> list[Overlap]:
    """Compare every evaluation prompt with every training prompt, by an index of the evaluation's n-grams.

    A prompt of fewer than n words is found where a training prompt, or one of its turns, has the same words.

    Args:
        prompts: the words of the evaluation prompts' turns.
        training: row and turns of the training prompts, read once.
        n: words in an n-gram.
        threshold: share from which a training row is kept in `places`.

    Returns:
        One Overlap per evaluation prompt.
    """
    ngrams = [ngrams_of(turns, n) for turns in prompts]
    by_ngram, by_words = defaultdict(list), defaultdict(list)
    for i, turns in enumerate(prompts):
        by_words[tuple(chain.from_iterable(turns))].append(i)
        for ngram in ngrams[i]:
            by_ngram[ngram].append(i)
    overlaps = [Overlap() for _ in prompts]
    for place, turns in training:
        short_turns = (tuple(turn) for turn in turns if len(turn) < n)
        shared = by_ngram.keys() & {*ngrams_of(turns, n), *short_turns}
        for i, count in Counter(i for ngram in shared for i in by_ngram[ngram]).items():
            share, overlap = count / len(ngrams[i]), overlaps[i]
            if share > overlap.share:
                overlap.share, overlap.place = share, place
                overlap.ngram = next(ngram for ngram in ngrams[i] if ngram in shared)
            if share >= threshold:
                overlap.places.append(place)
        for i in by_words.get(tuple(chain.from_iterable(turns)), ()) if shared else ():
            overlaps[i].identical = True
    return overlaps
