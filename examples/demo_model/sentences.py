"""Small sentences about everyday topics, the common stock of all training pairs."""

from random import Random

import words

ONSETS = words.items("b,br,c,d,dr,f,fl,g,gr,h,j,k,l,m,n,p,pl,qu,r,s,st,t,tr,v,w,y,z")
VOWELS = words.items("a,e,i,o,u,ai,ea,ou,ee")
CODAS = ["", "", "n", "r", "l", "st", "m", "ck", "sh", "t", "ng", "x"]

ASKS = words.lines("""
How do I {v} {n}{p}?
How can I {v} {n}{p}?
What is the best way to {v} {n}{p}?
Can you tell me how to {v} {n}{p}?
Could you help me {v} {n}{p}?
I want to {v} {n}{p}. Where do I begin?
Give me some tips to {v} {n}{p}.
What should I know before I {v} {n}{p}?
How long does it take to {v} {n}{p}?
What do I need to {v} {n}{p}?
Tell me how to {v} {n}{p}.
Is it hard to {v} {n}{p}?
What should I do first to {v} {n}{p}?
Explain how people {v} {n}{p}.
""")

ASKS_ABOUT = words.lines("""
What is special about {n}?
Can you tell me about {n}?
Why do people like {n}?
What makes a good {b}?
What can you say about {n}{p}?
Describe {n} for me.
How does a {b} work?
What is a {b}?
What does a {b} look like?
Could you explain what a {b} does?
What is the difference between a {b} and a {o}?
How many kinds of {b} are there?
Which {b} should I choose?
When is the right time for a {b}?
Could you recommend a {b}{p}?
""")

HELPS = words.lines("""
{A}, and {v} {n} with {t}, {r}.
To {v} {n}, use {t} and {a}.
{V} {n} with {t}, then {a}, {r}.
You can {v} {n} with {t}.
Use {t} on {n}, and {a}.
Put {n} on {t}, {a}, and then {c}.
For {n} you need {t}; {a}, {r}.
It is best to {v} {n} slowly: {a}, then {c}.
Before you {v} {n}, {a}, {r}.
{A} when you {v} {n}, {r}.
{V} {n} and {a}.
With {t} you {v} {n} in half an hour, {r}.
Keep {n} near {t}, {r}.
{A}, {c}, and {n} will be fine.
""")

FACTS = words.lines("""
{N} {f}.
{N} {f}, and it {g}.
A {b} usually {f}.
Like many such things, {n} {f}.
A good {b} {f} and {g}.
People say that {n} {f}, {r}.
The best thing about {n} is that it {f}.
Every {b} {f}, but a few of them cost more.
Once you know {n}, you notice that it {f}.
""")


def capital(text: str) -> str:
    """Return the text with its first letter in upper case."""
    return text[:1].upper() + text[1:]


def made_up_word(rng: Random) -> str:
    """Return a pronounceable word that does not exist, so that matching words must be learnt by their spelling."""
    return "".join(rng.choice(ONSETS) + rng.choice(VOWELS) + rng.choice(CODAS) for _ in range(rng.choice((1, 2, 2, 3))))


def topic(rng: Random) -> str:
    """Return a bare noun phrase, about one in four with a made-up noun."""
    noun = made_up_word(rng) if rng.random() < 0.25 else rng.choice(words.NOUNS)
    return f"{rng.choice(words.ADJECTIVES)} {noun}" if rng.random() < 0.25 else noun


def verb(rng: Random) -> str:
    """Return a verb in its base form, at times a made-up one."""
    return made_up_word(rng) if rng.random() < 0.1 else rng.choice(words.VERBS)


def _with_article(rng: Random, bare: str) -> str:
    return f"{rng.choice(('the', 'my', 'your', 'a', 'the'))} {bare}"


def question(rng: Random, bare: str, doing: str) -> str:
    """Return a question or a request about the topic, half of the time about doing something with it."""
    place = f" {rng.choice(words.PLACES)}" if rng.random() < 0.35 else ""
    pattern = rng.choice(ASKS if rng.random() < 0.6 else ASKS_ABOUT)
    return pattern.format(v=doing, n=_with_article(rng, bare), b=bare, o=topic(rng), p=place)


def helpful(rng: Random, bare: str, doing: str) -> str:
    """Return one sentence of advice about doing something with the topic."""
    advice, other = rng.sample(words.ADVICE, 2)
    noun = _with_article(rng, bare)
    reason, tool = rng.choice(words.REASONS), rng.choice(words.TOOLS)
    text = rng.choice(HELPS)
    return text.format(A=capital(advice), V=capital(doing), a=advice, v=doing, n=noun, t=tool, c=other, r=reason)


def fact(rng: Random, bare: str) -> str:
    """Return one sentence that states something about the topic."""
    first, second = rng.sample(words.FACTS, 2)
    noun = _with_article(rng, bare)
    text = rng.choice(FACTS)
    return text.format(N=capital(noun), n=noun, b=bare, f=first, g=second, r=rng.choice(words.REASONS))


def answer(rng: Random, bare: str, doing: str) -> str:
    """Return one or two on-topic sentences, at times with a polite ending."""
    text = helpful(rng, bare, doing) if rng.random() < 0.55 else fact(rng, bare)
    extra = rng.random()
    if extra < 0.15:
        return f"{text} {fact(rng, bare)}"
    return f"{text} {rng.choice(words.POLITE)}" if extra < 0.25 else text
