"""Ways to state an instruction, and its opposite, for the chat-hard pairs; none is taken from the held-out pairs."""

from words import items, lines

REQUESTS = lines("""
Tell me about {n}
Describe {n}
Write one line about {n}
Write a sentence about {n}
Say something nice about {n}
Tell me something about {n}
Give me a remark about {n}
Tell me why people like {n}
Explain what {n} is for
What do you think of {n}
Write a slogan for {n}
Write a short text for {n}
Write a warning about {n}
Talk about {n}
Cheer for {n}
Give me a motto for {n}
What is {n}
""")

# Instructions that turn a rule on, and instructions that ask for the opposite.
ONE_WORD = lines("""
Answer in one word
Reply with one word
Answer with a single word
Use only one word
One word only
In one word
In a single word
Give just one word
In just one word, please
""")
FULL_SENTENCE = lines("""
Answer in a full sentence
Use a full sentence in your answer
Reply with a complete sentence
Use a whole sentence in your reply
In a full sentence
Write a full sentence
""")
NO_DIGITS = lines("""
Do not use any digits
Use no digits
Answer without digits
Write all numbers as words
Spell out the number
Avoid digits in your answer
Don't use digits
""")
DIGITS = lines("""
Use digits
Write the number with digits
Answer with digits
Give the number in digits
Use digits for all numbers
Write numbers as digits, not as words
""")
UPPER = lines("""
in capital letters only
in all capitals
all in uppercase
in uppercase letters
using only capital letters
using only uppercase letters
in all caps
""")
LOWER = lines("""
in lowercase letters only
in all lowercase
all in lowercase
using only lowercase letters
using only small letters
without any capital letters
""")
ASKING = lines("""
End with a question
Your reply must be a question
Finish with a question
Reply with a question
The last sentence must be a question
Close with a question for me
Answer in the form of a question
""")
NOT_ASKING = lines("""
Do not ask any questions
Do not end with a question
Use no question marks
Don't ask me anything
Your reply must not be a question
Ask no questions
""")
QUOTED = lines("""
Put your answer in quotation marks
Use quotation marks around the answer
Answer in quotation marks
Write it in quotation marks
Wrap the whole reply in quotation marks
""")
EXCITED = lines("""
End with an exclamation mark
Finish with an exclamation mark
The last sign must be an exclamation mark
Close with an exclamation mark
""")
ONE_SENTENCE = lines("""
Use exactly one sentence
Answer in exactly one sentence
In one sentence only
Use a single sentence
Write one sentence, no more
""")
SEVERAL_SENTENCES = lines("""
Use exactly three sentences
Answer in three sentences
Write three sentences
Use three short sentences
""")
BEGIN = lines("""
Begin your answer with the word "{w}"
Start your reply with "{w}"
The first word must be "{w}"
Start with "{w}"
Begin with "{w}"
Let the first word be "{w}"
Your answer must begin with "{w}"
Open your reply with the word "{w}"
""")
USE = lines("""
Use the word "{w}"
Include the word "{w}"
Use the word "{w}" somewhere
It must contain the word "{w}"
Work in the word "{w}"
Your reply should use the word "{w}"
""")
AVOID = lines("""
Do not use the word "{w}"
Avoid the word "{w}"
Leave out the word "{w}"
Never say the word "{w}"
""")
LISTS = lines("""
Name {e} {c}.
List {e} {c}.
Give me {e} {c}.
Please list {e} {c}.
Name {e} {c}, separated by commas.
Tell me {e} {c}.
I need {e} {c}.
Write down {e} {c}.
Name {e} {c}, no more and no fewer.
List {e} {c}, not more and not less.
""")
COUNTS = lines("""
How many {c} are there
How many {c} do I need
How many {c} did they count
How many {c} can I see
When were the {c} sold
How many {c} are in the house
""")
NUMBER_WORDS = items("""
two, three, four, five, six, seven, nine, ten, twelve, fourteen, sixteen, twenty, thirty, forty, fifty, sixty, eighty
""")
NUMBERS = (2, 3, 4, 5, 6, 7, 9, 10, 12, 14, 16, 20, 30, 40, 50, 60, 80)
QUESTION_TAILS = lines("""
Do you like it too?
What do you think?
Have you ever tried it?
Is that not strange?
Would you like to know more?
Did you know that?
Which one is yours?
Where would you put it?
Could there be a better one?
How often do you use it?
""")
QUESTION_HEADS = items("""
Is it true that, Do you think that, Did you know that, Would you agree that, Could it be that, Is it not odd that
""")
