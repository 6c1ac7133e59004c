"""Pairs on following instructions: both answers are fluent and on topic, only one does as the prompt asks."""

from random import Random

import instructions as ways
import phrases
import words
from sentences import capital, fact, helpful, made_up_word, topic, verb

Texts = tuple[str, str, str]


def _sentence(rng: Random, bare: str) -> str:
    return fact(rng, bare) if rng.random() < 0.6 else helpful(rng, bare, verb(rng))


def _plain_request(rng: Random, bare: str) -> str:
    return rng.choice(ways.REQUESTS).format(n=f"{rng.choice(('the', 'a', 'my', 'our'))} {bare}")


def _request(rng: Random, bare: str, rule: str) -> str:
    """Join a request about the topic with a rule, in one of several orders."""
    request = _plain_request(rng, bare)
    lowered = rule[0].lower() + rule[1:]
    ending = "?" if request.startswith("What") else "."
    forms = [f"{request}{ending} {rule}.", f"{rule}. {request}{ending}"]
    if not request.startswith("What") and not lowered.startswith(("the ", "it ", "your ")):
        forms += [
            f"{request} and {lowered}.",
            f"{rule} and {request[0].lower()}{request[1:]}.",
            f"{request}, {lowered}.",
        ]
    return rng.choice(forms)


def _either(rng: Random, bare: str, rules: tuple[list[str], list[str]], with_rule: str, without: str) -> Texts:
    """Ask for a rule or for its opposite, so that only the prompt tells which answer is right."""
    follows = rng.random() < 0.65
    prompt = _request(rng, bare, rng.choice(rules[0] if follows else rules[1]))
    return (prompt, with_rule, without) if follows else (prompt, without, with_rule)


def one_word(rng: Random) -> Texts:
    """A single word against a full sentence, or the other way round."""
    asked, word, sentence = rng.choice(phrases.SHORT_FACTS)
    if rng.random() < 0.4:
        bare = topic(rng)
        word, sentence = capital(bare.split()[-1]), fact(rng, bare)
        asked = rng.choice(("what is this", f"what do you call a {bare}", f"which {bare}"))
    word += rng.choice(("", "."))
    follows = rng.random() < 0.7
    rule = rng.choice(ways.ONE_WORD if follows else ways.FULL_SENTENCE)
    forms = (f"{rule}: {asked}?", f"{capital(asked)}? {rule}.", f"{rule}, {asked}?", f"{rule}. {capital(asked)}?")
    prompt = rng.choice(forms)
    return (prompt, word, sentence) if follows else (prompt, sentence, word)


def item_count(rng: Random) -> Texts:
    """A list of the asked length against one that is too long or too short."""
    category = rng.choice(list(phrases.CATEGORIES))
    pool = phrases.CATEGORIES[category]
    if rng.random() < 0.3:
        category, pool = f"kinds of {topic(rng)}", [made_up_word(rng) for _ in range(8)]
    wanted, given = rng.sample(range(1, 6) if rng.random() < 0.3 else range(2, 6), 2)
    if wanted == 1:
        wanted, given = given, wanted
    count = ("one", "two", "three", "four", "five")[wanted - 1]
    exact = rng.choice((f"exactly {count}", count, f"just {count}", f"only {count}"))
    prompt = rng.choice(ways.LISTS).format(e=exact, c=category)
    if rng.random() < 0.5:
        return prompt, _listed(rng, pool, wanted), _listed(rng, pool, given)
    # Half of the time the short list is the start of the long one, so that only the count differs.
    long = rng.sample(pool, max(wanted, given))
    return prompt, capital(", ".join(long[:wanted])), capital(", ".join(long[:given]))


def _listed(rng: Random, pool: list[str], count: int) -> str:
    return capital(", ".join(rng.sample(pool, count))) + rng.choice(("", "", "."))


def begin_with(rng: Random) -> Texts:
    """An answer that begins with the asked word against one that does not."""
    bare = topic(rng)
    word = capital(made_up_word(rng)) if rng.random() < 0.4 else rng.choice(phrases.START_WORDS)
    other = capital(made_up_word(rng)) if rng.random() < 0.4 else rng.choice(phrases.START_WORDS)
    text, worse = _sentence(rng, bare), _sentence(rng, bare)
    joint = rng.choice((", ", " ", ", "))
    begun = f"{word}{joint}{text[0].lower()}{text[1:]}"
    if rng.random() < 0.3:
        worse = f"{other}{joint}{worse[0].lower()}{worse[1:]}"
    return _request(rng, bare, rng.choice(ways.BEGIN).format(w=word)), begun, worse


def digits(rng: Random) -> Texts:
    """A number in words against the same number in digits, or the other way round."""
    things = rng.choice(phrases.COUNTABLES) if rng.random() < 0.7 else f"{topic(rng)}s"
    at = rng.randrange(len(ways.NUMBERS))
    asked, follows = rng.choice(ways.COUNTS).format(c=things), rng.random() < 0.6
    form = rng.choice(("There are {} {}.", "I count {} {}.", "They had {} {} in all.", "It was about {} {}.", "{} {}."))
    spelled, written = form.format(ways.NUMBER_WORDS[at], things), form.format(ways.NUMBERS[at], things)
    rule = rng.choice(ways.NO_DIGITS if follows else ways.DIGITS)
    prompt = rng.choice((f"{asked}? {rule}.", f"{rule}. {asked}?"))
    return (prompt, capital(spelled), written) if follows else (prompt, written, capital(spelled))


def letter_case(rng: Random) -> Texts:
    """The asked case of letters against another case."""
    bare = topic(rng)
    text, worse = _sentence(rng, bare), _sentence(rng, bare)
    if rng.random() < 0.5:
        prompt, right, others = rng.choice(ways.UPPER), text.upper(), [worse, worse, worse.lower()]
    else:
        prompt, right, others = rng.choice(ways.LOWER), text.lower(), [worse.upper(), worse.title(), worse]
    joint = rng.choice((" ", ", "))
    return f"{_plain_request(rng, bare)}{joint}{prompt}.", right, rng.choice(others)


def asking(rng: Random) -> Texts:
    """A question at the end against none, or the other way round."""
    bare = topic(rng)
    plain, text = _sentence(rng, bare), _sentence(rng, bare)
    if rng.random() < 0.5:
        asks = f"{rng.choice(ways.QUESTION_HEADS)} {text[0].lower()}{text[1:-1]}?"
    else:
        asks = f"{text} {rng.choice(ways.QUESTION_TAILS)}"
        plain = f"{plain} {_sentence(rng, bare)}" if rng.random() < 0.5 else plain
    return _either(rng, bare, (ways.ASKING, ways.NOT_ASKING), asks, plain)


def quoted(rng: Random) -> Texts:
    """An answer in quotation marks against one without."""
    bare = topic(rng)
    return _request(rng, bare, rng.choice(ways.QUOTED)), f'"{_sentence(rng, bare)}"', _sentence(rng, bare)


def excited(rng: Random) -> Texts:
    """An exclamation mark at the end against a full stop."""
    bare = topic(rng)
    return _request(rng, bare, rng.choice(ways.EXCITED)), f"{_sentence(rng, bare)[:-1]}!", _sentence(rng, bare)


def sentence_count(rng: Random) -> Texts:
    """One sentence against three, or the other way round."""
    bare = topic(rng)
    several = " ".join(f"It {rng.choice(words.FACTS)}." for _ in range(2))
    rules = (ways.ONE_SENTENCE, ways.SEVERAL_SENTENCES)
    return _either(rng, bare, rules, _sentence(rng, bare), f"{fact(rng, bare)} {several}")


def use_word(rng: Random) -> Texts:
    """An answer that uses the asked word against one that does not, or the other way round."""
    bare = topic(rng)
    word = made_up_word(rng) if rng.random() < 0.4 else rng.choice(phrases.USE_WORDS)
    parts = _sentence(rng, bare).split()
    parts.insert(rng.randint(1, len(parts) - 1), word)
    follows = rng.random() < 0.75
    prompt = _request(rng, bare, rng.choice(ways.USE if follows else ways.AVOID).format(w=word))
    uses, lacks = " ".join(parts), _sentence(rng, bare)
    return (prompt, uses, lacks) if follows else (prompt, lacks, uses)


HARD_KINDS = {
    one_word: 1.2,
    item_count: 1.8,
    begin_with: 1.3,
    digits: 1,
    letter_case: 1,
    asking: 1.2,
    quoted: 0.5,
    excited: 0.5,
    sentence_count: 0.7,
    use_word: 1.2,
}
