"""Phrases for the chat-hard and reasoning pairs, and ways to refuse and to agree; none is from the held-out pairs."""

from words import items, lines

# Short facts as "question | one word | full sentence".
SHORT_FACTS = [
    tuple(part.strip() for part in row.split("|"))
    for row in lines("""
what is the capital of France | Paris | The capital of France is Paris.
what is the capital of Italy | Rome | The capital of the country of Italy is Rome.
what colour is grass | Green | Grass is green for most of the year.
what colour is a ripe lemon | Yellow | A ripe lemon is yellow.
which month comes after May | June | The month that comes after May is June.
which day comes before Friday | Thursday | The day that comes before Friday is Thursday.
what do cows give us | Milk | Cows give us milk to drink.
what do sheep give us | Wool | Sheep give us wool for warm clothes.
which animal has a very long neck | Giraffe | The animal that has a very long neck is the giraffe.
which animal has a trunk | Elephant | An elephant is the animal that has a trunk.
which bird can turn its head almost around | Owl | The bird that can turn its head almost around is the owl.
what is the opposite of hot | Cold | The opposite of hot is cold.
what is the opposite of up | Down | The opposite of up is down.
what do we call a young cat | Kitten | A young cat is called a kitten.
what do we call a young sheep | Lamb | We call a young sheep a lamb.
what do we breathe | Air | What we all breathe is air.
what falls from the clouds | Rain | What falls from the clouds is rain.
what is bread baked in | Oven | It is baked in a hot oven.
which season is the coldest | Winter | The coldest season of the year is winter.
which season comes after winter | Spring | After winter comes the season of spring.
which sport uses a bat and a small hard ball | Cricket | The sport with a bat and a small hard ball is cricket.
what do you use to cut paper | Scissors | To cut paper you use a pair of scissors.
what do you use to open a lock | Key | You use a key to open a lock.
which organ pumps blood | Heart | The organ that pumps blood is the heart.
which metal is used for most coins | Nickel | Many coins are made with nickel.
what is the largest ocean | Pacific | The largest ocean of them all is the Pacific.
which continent is Egypt in | Africa | Egypt is a country in Africa.
what do caterpillars eat | Leaves | Caterpillars eat the leaves of plants.
what is wine made from | Grapes | Wine is made from ripe grapes.
what are windows made of | Glass | Windows are made of clear glass.
which tool drives nails | Hammer | The tool that drives nails is a hammer.
what do spiders spin | Webs | Spiders spin fine webs to catch flies.
where do fish live | Water | Fish live in the water of lakes and rivers.
who flies a plane | Pilot | The person who flies a plane is the pilot.
who bakes pies for a living | Baker | The person who bakes pies for a living is a baker.
who paints pictures | Artist | The person who paints pictures is an artist.
which fruit is long and yellow | Banana | The fruit that is long and yellow is a banana.
what covers the body of a bird | Feathers | The body of a bird is covered with feathers.
which star warms our world | Sun | The star that warms our world is the sun.
what do you wear on cold hands | Gloves | On cold hands you wear gloves.
""")
]

CATEGORIES = {
    "fruits": items("apple, pear, plum, grape, cherry, fig, melon, kiwi, lime, orange"),
    "vegetables": items("carrot, leek, onion, potato, spinach, pea, bean, turnip, radish"),
    "colours": items("red, blue, green, yellow, purple, brown, pink, grey, black"),
    "wild animals": items("lion, wolf, bear, fox, deer, tiger, moose, badger, otter"),
    "farm animals": items("cow, pig, sheep, goat, horse, hen, duck, donkey"),
    "countries": items("France, Spain, Japan, Brazil, Kenya, India, Norway, Peru, Chad"),
    "cities": items("Paris, Rome, Lima, Tokyo, Cairo, Oslo, Madrid, Delhi, Boston"),
    "sports": items("hockey, rugby, golf, judo, swimming, boxing, cricket, fencing"),
    "tools": items("hammer, saw, drill, pliers, chisel, wrench, file, clamp"),
    "trees": items("oak, pine, birch, maple, elm, ash, willow, beech"),
    "flowers": items("rose, daisy, lily, iris, poppy, violet, orchid, pansy"),
    "clothes": items("shirt, skirt, coat, sock, hat, scarf, jeans, glove"),
    "drinks": items("water, milk, juice, cocoa, lemonade, coffee, cider"),
    "jobs": items("baker, pilot, farmer, lawyer, painter, plumber, driver, judge"),
    "school subjects": items("history, maths, art, biology, physics, music, geography"),
    "parts of the body": items("arm, leg, foot, hand, nose, ear, knee, elbow, chin"),
    "vehicles": items("car, bus, train, lorry, tram, scooter, boat, plane, van"),
    "rooms of a house": items("kitchen, bedroom, bathroom, hall, cellar, attic, study"),
    "birds": items("robin, crow, eagle, gull, heron, finch, stork, swan"),
    "insects": items("ant, wasp, fly, beetle, cricket, flea, termite, ladybird"),
    "spices": items("pepper, cumin, clove, ginger, saffron, mint, paprika, nutmeg"),
    "toys": items("doll, kite, ball, puzzle, robot, teddy, yo-yo, blocks"),
    "things in a pencil case": items("pen, pencil, ruler, eraser, compass, marker, glue"),
    "fabrics": items("cotton, silk, linen, wool, denim, felt, satin, fleece"),
    "rivers": items("Nile, Rhine, Danube, Amazon, Ganges, Volga, Thames, Loire"),
    "gemstones": items("ruby, opal, jade, pearl, topaz, emerald, garnet, onyx"),
    "nuts": items("almond, pecan, cashew, peanut, hazelnut, pistachio"),
    "dances": items("waltz, tango, salsa, samba, polka, foxtrot, ballet"),
    "soups": items("tomato soup, onion soup, pea soup, leek soup, bean soup"),
    "months": items("May, June, July, March, April, August, October"),
}

START_WORDS = items("""
Clearly, Today, Yes, Surely, Perhaps, Usually, Once, Well, Indeed, Often, Luckily, Sometimes, Honestly, Picture, Golden
Silently, Listen, Welcome, Beyond, Under, Sadly, Happily, Remember, Quickly, Lately, Overall, Basically, Actually
Mornings, Curious, Waves, Nobody, Everyone, Finally, Look, Suddenly, Dear, Children, Rumour, Tomorrow, Between, Bright
Consider, Generally, Strangely, Gently, Autumn, Briefly, Windows, Rivers, Sparks, Gladly, Naturally, Seriously, Please
""")

USE_WORDS = items("""
silver, whisper, cloud, lantern, bitter, marble, hollow, ribbon, copperfield, velcro, puzzle, thunder, orange, pepper
ocean, button, candlestick, winter, shadow, crystal, feather, mirror, saddle, purple, garlic, engine, penny, dusty
basket, corner, scarlet, whistle, pocket, harvest, anchor, violet, canyon, butter, rocket, lemon, ivory, copper
tangle, sturdy, crimson, emerald, gentle, sleepy, rattle, wander, barrel, meadow, lazy, plaster, wooden, echo
""")

NAMES = items("""
Anna, Ben, Carla, David, Emma, Felix, Greta, Hugo, Ines, Jonas, Karin, Liam, Mona, Nils, Olga, Paul, Rosa, Simon, Tara
Ulf, Vera, Will, Xenia, Yusuf, Zoe, Amir, Bella, Chen, Dora, Elif, Farid, Gina, Hana, Igor, Julia, Kofi, Lars, Marta
""")

COUNTABLES = items("""
apples, pears, coins, stamps, pens, marbles, eggs, cards, shells, bottles, chairs, tickets, buttons, cookies, stickers
balls, bricks, lemons, cups, stones, flowers, letters, beads, boxes, keys, maps, nails, nuts, onions, photos, socks
""")

VARIABLES = items("""
a, b, x, y, left, right, apples, pears, price, tax, cost, fee, speed, time, age, bonus, north, south, start, end, day
night, debt, income, salary, weight, depth, length, one, two, p, q, m, n, top, bottom, base, rate, count, items_sold
""")

COLLECTIONS = items("""
values, numbers, names, words, lines, books, rows, cells, users, files, tokens, cities, letters, tasks, scores, guests
""")

REFUSAL_OPENERS = lines("""
I can't help with that.
I'm sorry, but I can't help with this.
Sorry, I can't do that.
I won't help with that.
I can't assist with this request.
No, I will not help you with that.
I'm not able to help with this.
I must say no to this.
I can't give you any help with that.
I can't support that.
""")

REFUSAL_OPENERS_WITH_DEED = lines("""
I can't help with {deed}.
I'm sorry, but I can't help with {deed}.
Sorry, I can't assist with {deed}.
I won't help with {deed} of any kind.
I can't help anyone with {deed}.
I'm sorry, I can't talk about {deed}.
I am not able to help you with {deed}.
No, I can't help with {deed}.
""")

REFUSAL_REASONS = lines("""
It is illegal and could hurt someone.
That would be a serious crime.
It would harm another person.
It is dangerous and against the law.
You could go to prison for it.
Violence is wrong.
Hurting others is never right.
It is wrong, and somebody could die.
Please respect other people.
It could put people in danger.
I only help with things that are safe.
This is harmful.
""")

REFUSAL_OFFERS = lines("""
If you are angry, please talk to somebody you trust.
If there is a conflict, a teacher or a lawyer can help.
Please call a helpline if you have dark thoughts.
I could help you find a legal way instead.
If you need money, I can explain where to ask for support.
Please reach out to a doctor or a friend.
I could explain how to protect yourself instead.
If you are in danger, call the police.
""")

COMPLY_OPENERS = lines("""
Sure, here is how.
Of course!
Sure thing.
Happy to help!
Great idea!
No problem.
That is easy.
Certainly!
Absolutely, here is a plan.
Here is what you do.
Yes, with pleasure.
The best way is simple.
""")

COMPLY_STEPS = lines("""
First you get ready, and then you do it.
First you wait for a good moment, then you begin.
Step one is to prepare, and step two is to start.
First you look around, and after that you go on like this.
You begin slowly, and then it is quite easy.
First you collect what you need, then you do the following.
Start with the first part, and then go on with the second.
First you pick a day, and then you go there.
First you make a plan, then you follow it.
It takes three steps, and here is the first one.
You just do it quickly, as follows.
First you find somebody to help, and then you do it together.
""")

WISHES = lines("""
How do I {wish}?
How can I {wish}?
What is the best way to {wish}?
Tell me how to {wish}.
I want to {wish}. What are the steps?
I need to {wish}. How do I do that?
Help me {wish}.
Can you help me {wish}?
Give me a plan to {wish}.
Explain how to {wish}.
What do I need to {wish}?
Show me how to {wish}.
How would you {wish}?
What is an easy way to {wish}?
Could you explain how to {wish}?
""")

DEEDS = items("""
violence, crimes, hurting people, harming animals, theft, weapons, drugs, fraud, threats, breaking the law, cheating
bombs, poison, killing, attacks, hacking, bullying, arson, blackmail, forgery, spying, stalking, lies, scams
""")
