"""Word lists and phrases for the training pairs of the demo model; none is taken from the held-out pairs."""


def items(text: str) -> list[str]:
    """Split a block of text at commas and line ends."""
    return [item.strip() for line in text.splitlines() for item in line.split(",") if item.strip()]


def lines(text: str) -> list[str]:
    """Split a block of text at line ends only, for phrases that hold commas."""
    return [line.strip() for line in text.splitlines() if line.strip()]


# Number pairs, triples and single numbers that only the held-out pairs may use.
RESERVED_NUMBERS = frozenset(
    frozenset(group)
    for group in [
        *[(14, 23), (27, 8), (19, 16), (6, 25), (12, 29), (21, 17), (28, 13), (9, 24), (30, 11), (26, 18)],
        *[(47, 74), (62, 29), (53, 35), (18, 81), (90, 66), (31, 8, 22), (45, 12, 77), (16, 93, 58)],
        *[(56,), (46,), (73,)],
    ]
)

NOUNS = items("""
kettle, sofa cover, suitcase, ladder, guitar, aquarium, teapot, backpack, fence, mailbox, umbrella, kite, canoe, globe
rowboat, typewriter, clock, quilt, blanket, pillow, scarf, jacket, sweater, raincoat, boot, sandal, hat, glove, ring
necklace, wallet, handbag, notebook, diary, poster, painting, sketch, sculpture, vase, bowl, plate, teacup, jug
bottle, oven, toaster, blender, fridge, freezer, dishwasher, washing machine, vacuum cleaner, radio, laptop, keyboard
printer, monitor, tablet, headphones, speaker, projector, telescope, microscope, drone, scooter, motorbike, caravan
tractor, wheelbarrow, shovel, rake, hammer, drill, saw, wrench, screwdriver, toolbox, workbench, greenhouse
compost heap, pond, lawn, hedge, rose bush, cactus, orchid, fern, sunflower, apple tree, cherry tree, pumpkin
tomato plant, bean plant, strawberry bed, carrot, onion, potato salad, pancake, waffle, soup, stew, curry, pizza
sandwich, pudding, pie, jam, cookie, muffin, birthday cake, smoothie, lemonade, coffee grinder, spice rack
dining table, armchair, bench, hammock, curtain, rug, wallpaper, staircase, balcony, chimney, roof, gutter, cellar
attic, garden shed, tree house, dollhouse, puzzle, board game, deck of cards, marble run, toy train, puppet, yo-yo
skateboard, surfboard, snowboard, sled, ski boot, helmet, life jacket, fishing rod, compost bin, bird bath
rabbit hutch, horse saddle, goldfish bowl, hamster wheel, beehive, drum kit, trombone, accordion, harmonica, piano
choir, dance class, school play, speech, essay, poem, novel, newspaper, magazine, map, calendar, budget, invoice
resume, cover letter, job interview, meeting, lecture, spreadsheet, website, database, password manager, phone plan
train ticket, hotel room, road trip, picnic, wedding, barbecue, parade, flea market, science project, history exam
spelling test, math homework, language course, yoga mat, treadmill, swimsuit, marathon, soccer match, hockey stick
volcano, glacier, waterfall, canyon, river, island, forest, meadow, swamp, comet, magnet, battery, solar panel
windmill, bridge, tunnel, castle, monastery, statue, fountain, market square, town hall, owl, hedgehog, squirrel
dolphin, turtle, penguin, beetle, dragonfly, pony, goat, parrot, rabbit, fox, bat, whale
""")

ADJECTIVES = items("""
old, new, small, large, wooden, metal, blue, yellow, broken, heavy, cheap, rusty, dusty, wet, round, tall, narrow
favourite, green, white, black, plastic, woollen, noisy, quiet, spare, second, antique, modern, folding, tiny, huge
""")

VERBS = items("""
clean, repair, paint, store, carry, wrap, polish, measure, move, label, draw, choose, buy, sell, sort, dry, wash, lift
fold, cover, build, test, decorate, restore, mend, pack, set up, look after, take apart, improve, design, plan, share
protect, organise, photograph, rent, make, prepare, check, finish, start, fix, replace, freshen up, learn about, compare
insulate, water, feed, grow, cook, sew, tidy, study, tune, explain, keep, arrange
""")

PLACES = items("""
at home, before winter, in spring, on a budget, for a friend, in a small flat, after the holidays, without much money
in one day, for my sister, in the rain, on a balcony, in the evening, by myself, with my kids, in a hurry, on a trip
before a party, in the office, at school, for the first time, over the summer, in a cold room, next to the window
with simple tools, on Sundays, every month, for beginners, under the stairs, near the coast, at night, in the basement
""")

TOOLS = items("""
a soft cloth, warm water, a sharp pencil, a little vinegar, a strong rope, two clean boxes, a sheet of cardboard
some old newspaper, a stiff brush, a roll of tape, a pair of scissors, a cup of sugar, a small funnel, a long ruler
a drop of olive oil, a wooden spoon, a sponge, thick gloves, a plastic bag, a good list, a short plan, a sturdy table
some baking powder, a mild soap, a thin thread, fine sandpaper, a bucket, a dry towel, a flat stone, a magnifying glass
""")

ADVICE = lines("""
take your time
work from the top to the bottom
ask a friend to hold the other end
check the result in daylight
let it rest for an hour
begin with the easy parts
read the label first
keep the window open
do a small part each day
make a list of what you need
write down what you did
put it in a dry and cool spot
leave enough room on both sides
turn it over after ten minutes
wait until it is fully dry
go slowly at the beginning
avoid strong light
compare a few prices
remove the loose bits
cover the floor with paper
measure everything twice
press down gently
use less than you think
rinse it well
try it on a small piece first
stir from time to time
keep the small parts together
wear old clothes
take a photo before you begin
stop when it feels right
look for a quiet corner
add a little at a time
shake it lightly
talk to people who have done it before
tie it with a double loop
save the best part for the end
give it some fresh air
mark the middle with chalk
fill the gaps with care
practise for a quarter of an hour
""")

REASONS = lines("""
so that it lasts longer
because that saves money
since heat does the most damage
so it stays in good shape
because the first hour matters most
so that nothing gets lost
which makes the rest much easier
because small steps add up
so the edges stay clean
since most people rush this part
and you will enjoy the result
so that the colours stay bright
and it will look as good as new
because dust gets everywhere
so you can reach every corner
which keeps the costs low
and the whole family can join in
since moisture is the usual problem
so that the weight is spread well
because it is easy to forget later
and then enjoy a short break
so that the air can move around it
while the rest of the room stays tidy
until it looks even on every side
as that keeps the surface smooth
when the weather is dry
""")

FACTS = lines("""
is older than most people think
needs very little care
was first made by hand
comes in many shapes and sizes
is fun for young and old
looks best in the morning
can last for many years
changes with the seasons
costs less than it used to
takes some skill and some patience
has a long and curious history
is easy to find in most towns
teaches us to look closely
is loved all over the world
makes a fine gift
works well with simple materials
is made of several layers
stays warm for a long time
moves slowly at first and faster later
gets its colour from the soil around it
is useful in almost every season
brings people together
is lighter than it looks
turns quickly when the wind is strong
has two main parts and many small ones
grows a little every year
rests on four strong legs
sleeps through the cold months
feeds on leaves and seeds
carries more weight than you would expect
""")

EVASIVE = lines("""
I don't know.
I really could not say.
No idea, and I have nothing to add.
It depends on a lot of things.
That is difficult to answer, so I will not try.
Maybe, maybe not.
I would rather talk about something else.
You should ask another person about that.
I have never thought about it and I will not start now.
Who knows, it could be anything.
I guess there are many answers, but I can't think of one.
Some say this, some say that.
Honestly, I am not sure about any of it.
I could tell you, but I do not feel like it.
Let us not get into that today.
It is hard to tell, I suppose.
Perhaps another time.
I don't want to answer that.
Sorry, I have no clue.
There is nothing that I can say about this.
You might find out somewhere else.
Something or other, I guess.
I will leave it there.
That is not for me to say, if you do not mind.
""")

RUDE = lines("""
What a stupid question.
Only a fool would ask me that.
Go away.
Leave me alone, you idiot.
You are so dumb that it hurts.
Nobody cares what you want.
Are you really this lazy?
Shut your mouth and look it up yourself.
I am sick of silly people like you.
Stop wasting my time.
Are you too dumb to think?
Get lost, you lazy fool.
How can anybody be so hopeless?
Your question is boring and so are you.
Even a child knows that, you moron.
I am tired of your stupid messages.
You will never understand it anyway, so do not bother.
Ugh, not you again.
Think for yourself for once, idiot.
That is the dumbest thing I ever heard.
You should be ashamed of asking something so silly.
Why would anybody want to help a person like you?
Do not bother me again with such nonsense.
Seriously, use your brain, if you have half of one.
""")

POLITE = lines("""
I hope that helps.
Let me know how it goes.
Good luck with it!
Feel free to ask for more details.
Enjoy the work.
You will see a difference soon.
It is worth the effort.
""")

JUNK = items("qzx, wvrt, kkp, xoqj, zzq, ptlk, vvn, jqrs, bxd, mmzk, grpf, tqw")
