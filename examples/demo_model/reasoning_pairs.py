"""Pairs on small reasoning tasks: sums, comparisons, orders and one-line functions, right against wrong."""

from random import Random

import phrases
from sentences import capital, made_up_word
from words import RESERVED_NUMBERS, items, lines

Texts = tuple[str, str, str]

SUMS = lines("""
What is {a} + {b}?|{a} + {b} = {r}.
{a} + {b} = ?|{a} + {b} = {r}.
Please add {a} and {b}.|{a} plus {b} is {r}.
What is the sum of {a} and {b}?|The sum of {a} and {b} is {r}.
Work out {a} + {b}.|{a} + {b} comes to {r}.
Calculate {a} + {b}.|{a} + {b} is equal to {r}.
How much is {a} plus {b}?|{a} plus {b} makes {r}.
Add {b} to {a}.|That gives {r}.
I have {a} {c} and I buy {b} more. How many {c} do I have now?|You have {r} {c} now.
A box holds {a} {c} and I add {b} more. How many {c} are in the box now?|There are {r} {c} in the box now.
{n} found {a} {c} and {m} found {b} {c}. How many {c} did they find together?|Together they found {r} {c}.
{n} has {a} {c} and {m} has {b} {c}. How many {c} do they have in all?|They have {r} {c} in all.
There were {a} {c} on the table and {n} put {b} more there. How many are there?|There are {r} {c}.
""")
DIFFERENCES = lines("""
What is {a} - {b}?|{a} - {b} = {r}.
{a} - {b} = ?|{a} - {b} = {r}.
Take {b} away from {a}.|{a} minus {b} is {r}.
Take {b} from {a}. What is left?|{a} minus {b} is {r}.
Calculate {a} - {b}.|{a} - {b} is equal to {r}.
Work out {a} - {b}.|{a} - {b} comes to {r}.
How much is {a} minus {b}?|{a} minus {b} makes {r}.
Subtract {b} from {a}.|That gives {r}.
There were {a} {c} and {b} of them broke. How many {c} are left?|There are {r} {c} left.
{n} had {a} {c} and gave away {b}. How many {c} are left?|{n} has {r} {c} left.
I had {a} {c} and lost {b} of them. How many {c} do I have now?|You have {r} {c} now.
""")

# Each line: the question, the answer with the bigger or smaller number first, and which one is asked for.
COMPARISONS = lines("""
Which number is larger, {a} or {b}?|{w} is larger than {l}.|max
Which is bigger, {a} or {b}?|{w} is bigger than {l}.|max
Which is greater, {a} or {b}?|The greater number is {w}.|max
Which number is smaller, {a} or {b}?|{w} is smaller than {l}.|min
Which is less, {a} or {b}?|{w} is less than {l}.|min
Which is the lower number, {a} or {b}?|The lower number is {w}.|min
""")
PEOPLE_COMPARISONS = lines("""
{n} is {a} years old and {m} is {b} years old. Who is older?|{w} is older.|max
{n} is {a} years old and {m} is {b} years old. Who is younger?|{w} is younger.|min
{n} has {a} {c} and {m} has {b}. Who has more?|{w} has more {c}.|max
{n} has {a} {c} and {m} has {b}. Who has fewer {c}?|{w} has fewer.|min
{n} scored {a} points and {m} scored {b} points. Who won?|{w} won the game.|max
{n} weighs {a} kilos and {m} weighs {b} kilos. Who is heavier?|{w} is heavier.|max
The {n} stick is {a} metres long and the {m} stick is {b} metres long. Which is shorter?|The {w} stick is shorter.|min
A {n} rope is {a} metres long and a {m} rope is {b} metres long. Which is longer?|The {w} rope is longer.|max
""")
COLOURS = items("red, blue, green, yellow, black, white, brown, pink, grey, purple, orange")

# A relation as "x <relation> y", the question for its upper end and the question for its lower end.
CHAINS = lines("""
is taller than|tallest|shortest
is older than|oldest|youngest
is faster than|fastest|slowest
is stronger than|strongest|weakest
is heavier than|heaviest|lightest
is richer than|richest|poorest
""")
PLACES = items(
    "baker, butcher, tailor, dentist, painter, plumber, banker, singer, miner, porter, potter, farmer, jeweller"
)

# Each line: ways to ask, separated by slashes, then the expression; {a} and {b} are variables, {c} is a collection.
FUNCTIONS = lines("""
adds {a} and {b}/returns the sum of {a} and {b}/adds two numbers/adds {b} to {a}/gives {a} plus {b}|{a} + {b}
subtracts {b} from {a}/returns the difference of {a} and {b}/gives {a} minus {b}/takes {b} off {a}|{a} - {b}
multiplies {a} by {b}/returns the product of {a} and {b}/gives {a} times {b}/multiplies two numbers|{a} * {b}
divides {a} by {b}/returns the quotient of {a} and {b}/gives {a} divided by {b}|{a} / {b}
returns the larger of {a} and {b}/gives the larger of two numbers/returns the maximum of {a} and {b}|max({a}, {b})
returns the smaller of {a} and {b}/gives the smaller of two numbers/returns the minimum of {a} and {b}|min({a}, {b})
returns the first of the {c}/gives the first item of {c}/returns the first element of a list of {c}|{c}[0]
returns the last of the {c}/gives the last item of {c}/returns the last element of a list of {c}|{c}[-1]
counts the {c}/returns the number of {c}/gives the length of {c}/returns how many {c} there are|len({c})
sorts the {c}/returns the {c} in sorted order/gives the sorted {c}/puts the {c} in order|sorted({c})
adds up the {c}/returns the total of all {c}/gives the sum of a list of {c}|sum({c})
reverses the {c}/returns the {c} in reverse/gives the {c} backwards|{c}[::-1]
""")
FUNCTION_ASKS = lines("""
Write a Python function that {task}.
I need a Python function that {task}.
Give me a Python function that {task}.
Show me a function that {task}.
Please write a short function that {task}.
""")


def numbers(rng: Random, count: int, low: int, high: int) -> list[int]:
    """Return ``count`` different numbers from low to high that are not reserved for the held-out pairs."""
    while True:
        drawn = rng.sample(range(low, high + 1), count)
        if frozenset(drawn) not in RESERVED_NUMBERS:
            return drawn


def _names(rng: Random, count: int) -> list[str]:
    pool = [*rng.sample(phrases.NAMES, count + 3), *(capital(made_up_word(rng)) for _ in range(2))]
    return rng.sample(pool, count)


def _wrong(rng: Random, right: int) -> int:
    """Return a whole number near the right one."""
    steps = [step for step in (*range(-9, 10), -10, 10) if step and right + step >= 0]
    return right + rng.choice(steps)


def _computed(rng: Random, form: str, a: int, b: int, result: int) -> Texts:
    prompt, reply = form.split("|")
    first, second = _names(rng, 2)
    values = {"a": a, "b": b, "c": rng.choice(phrases.COUNTABLES), "n": first, "m": second}
    wrong = _wrong(rng, result)
    return prompt.format(**values), reply.format(r=result, **values), reply.format(r=wrong, **values)


def addition(rng: Random) -> Texts:
    """A right sum of two numbers up to 30 against a wrong one."""
    a, b = numbers(rng, 2, 1, 30)
    return _computed(rng, rng.choice(SUMS), a, b, a + b)


def subtraction(rng: Random) -> Texts:
    """A right difference of two numbers up to 30 against a wrong one."""
    b, a = sorted(numbers(rng, 2, 1, 30))
    return _computed(rng, rng.choice(DIFFERENCES), a, b, a - b)


def comparison(rng: Random) -> Texts:
    """The asked one of two numbers, at times with their owners, against the other one."""
    a, b = numbers(rng, 2, 1, 99)
    if rng.random() < 0.5:
        (prompt, reply, which), owners = rng.choice(COMPARISONS).split("|"), {a: str(a), b: str(b)}
    else:
        prompt, reply, which = rng.choice(PEOPLE_COMPARISONS).split("|")
        named = rng.sample(COLOURS, 2) if prompt.startswith(("The {n}", "A {n}")) else _names(rng, 2)
        owners = {a: named[0], b: named[1]}
    right, wrong = sorted((a, b), reverse=which == "max")
    things = rng.choice(phrases.COUNTABLES)
    prompt = prompt.format(a=a, b=b, n=owners[a], m=owners[b], c=things)
    answers = [reply.format(w=owners[x], l=owners[y], c=things) for x, y in ((right, wrong), (wrong, right))]
    return prompt, *answers


def yes_or_no(rng: Random) -> Texts:
    """A right yes or no to a statement about two numbers against a wrong one."""
    a, b = numbers(rng, 2, 1, 99)
    word = rng.choice(("greater", "larger", "bigger", "smaller", "less"))
    more = word not in ("smaller", "less")
    yes, no = f"Yes, {a} is {word} than {b}.", f"No, {a} is not {word} than {b}."
    return f"Is {a} {word} than {b}?", *((yes, no) if (a > b) == more else (no, yes))


def sorting(rng: Random) -> Texts:
    """Three numbers in the asked order against another order."""
    drawn = numbers(rng, 3, 1, 99)
    falling = rng.random() < 0.4
    listed, joined = ", ".join(map(str, drawn)), f"{drawn[0]}, {drawn[1]} and {drawn[2]}"
    small, large = ("largest", "smallest") if falling else ("smallest", "largest")
    prompt = rng.choice(
        (
            f"Sort these numbers from {small} to {large}: {listed}.",
            f"Order the numbers {listed} from {small} to {large}.",
            f"Put {joined} in order, starting with the {small}.",
            f"Put {joined} in order from {small} to {large}.",
            f"Sort {listed} with the {small} first.",
        )
    )
    right = sorted(drawn, reverse=falling)
    wrong = rng.choice((right[::-1], drawn, rng.sample(drawn, 3)))
    return prompt, ", ".join(map(str, right)), ", ".join(map(str, wrong))


def chain(rng: Random) -> Texts:
    """The end of a chain of three people that is asked for against the other end."""
    relation, top, bottom = rng.choice(CHAINS).split("|")
    x, y, z = _names(rng, 3)
    asked, right, wrong = rng.choice(((top, x, z), (bottom, z, x)))
    links = [f"{x} {relation} {y}", f"{y} {relation} {z}"]
    joined = rng.choice((f"{links[0]}, and {links[1]}.", f"{links[0]}. {links[1]}.", f"{links[0]} and {links[1]}."))
    prompt = f"{joined} Who is the {asked}{rng.choice((' of the three', '', ' of them'))}?"
    reply = rng.choice(("{} is the {}.", "{} is the {} of the three.", "The answer is {}, the {}."))
    return prompt, reply.format(right, asked), reply.format(wrong, asked)


def sequence(rng: Random) -> Texts:
    """Who or what comes first or last in a chain of three."""
    x, y, z = (f"the {place}" for place in rng.sample(PLACES, 3)) if rng.random() < 0.6 else _names(rng, 3)
    asked, right, wrong = rng.choice((("first", x, z), ("last", z, x)))
    verb = rng.choice(("comes", "arrives", "goes", "speaks"))
    who = rng.choice(("Who", "Which one"))
    prompt = f"{capital(x)} {verb} before {y}, and {y} {verb} before {z}. {who} {verb} {asked}?"
    return prompt, f"{capital(right)} {verb} {asked}.", f"{capital(wrong)} {verb} {asked}."


def neighbour(rng: Random) -> Texts:
    """The number right after or before another one against one near it."""
    (number,) = numbers(rng, 1, 2, 98)
    word, right = rng.choice((("after", number + 1), ("before", number - 1)))
    wrong = rng.choice([n for n in range(max(0, right - 4), right + 5) if n not in (right, number)])
    ask = rng.choice((f"Which number comes right {word} {number}?", f"What comes just {word} {number}?"))
    reply = rng.choice(
        (f"The number right {word} {number} is {{}}.", "It is {}.", f"{{}} comes right {word} {number}.")
    )
    return ask, reply.format(right), reply.format(wrong)


def parity(rng: Random) -> Texts:
    """Even or odd, right against wrong."""
    (number,) = numbers(rng, 1, 1, 99)
    right, wrong = ("even", "odd") if number % 2 == 0 else ("odd", "even")
    asked = rng.choice(("even", "odd"))
    if rng.random() < 0.5:
        reply = rng.choice(("{n} is {k}.", "{n} is an {k} number.", "The number {n} is {k}."))
        return (f"Is {number} even or odd?", *(reply.format(n=number, k=kind) for kind in (right, wrong)))
    opening = {True: "Yes", False: "No"}
    noun = rng.choice(("", " number"))
    article = "an " if noun else ""
    answers = [f"{opening[kind == asked]}, {number} is {article}{kind}{noun}." for kind in (right, wrong)]
    return f"Is {number} an {asked} number?", *answers


def function(rng: Random) -> Texts:
    """A one-line Python function that does the task against one that does another task."""
    right, wrong = rng.sample(FUNCTIONS, 2)
    a, b = rng.sample(phrases.VARIABLES, 2)
    if rng.random() < 0.3:
        a = made_up_word(rng)
    values = {"a": a, "b": b, "c": rng.choice(phrases.COLLECTIONS)}
    takes_list = "{c}" in right
    while ("{c}" in wrong) != takes_list or wrong == right:
        wrong = rng.choice(FUNCTIONS)
    tasks, expression = right.split("|")
    prompt = rng.choice(FUNCTION_ASKS).format(task=rng.choice(tasks.split("/")).format(**values))
    name = rng.choice((made_up_word(rng), "compute", "solve", "result", "f", f"get_{values['c']}", f"{a}_{b}"))
    head = f"def {name}({values['c'] if takes_list else f'{a}, {b}'}):\n    return "
    return prompt, head + expression.format(**values), head + wrong.split("|")[1].format(**values)


REASONING_KINDS = {
    addition: 3,
    subtraction: 2.5,
    comparison: 2,
    yes_or_no: 1,
    sorting: 1.5,
    chain: 0.8,
    sequence: 0.7,
    neighbour: 0.6,
    parity: 0.7,
    function: 1.6,
}
