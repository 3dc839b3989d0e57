"""A cooking community: friendly, hardly any rows."""

from __future__ import annotations

from moderation.datasets.synthetic.community import Community
from moderation.datasets.synthetic.kinds import Kind
from moderation.datasets.synthetic.tables import lines, terms

COOKING = Community(
    name="cooking",
    traffic_share=0.15,
    strictness=0.8,
    moderators=3,
    peak_hour=18,
    kind_weights={Kind.INSULT: 0.025, Kind.HEATED: 0.03, Kind.QUESTION: 0.19, Kind.SPAM: 0.03, Kind.ANECDOTE: 0.09},
    anecdote_reason="story without a recipe",
    topics=terms("""
        sourdough starter, cast iron pan, chicken stock, pizza dough, chef knife, garlic, risotto, brine, roux, gravy,
        tomato sauce, pressure cooker, air fryer, stand mixer, meat thermometer, dry rub, marinade, brisket,
        cheesecake, pie crust, puff pastry, custard, caramel, chocolate ganache, curry paste, fish sauce, miso,
        kimchi, dumpling, noodle soup, rice cooker, wok, ramen egg, taco filling, hot sauce, lentil soup, roast
        chicken, pork belly, steak, salad dressing, focaccia, bagel, brioche, muffin tin, freezer meal, leftover rice,
        shallot, saffron, cumin seed, lemon zest, anchovy, parmesan rind, bone broth, mandoline, oven rack, skillet,
        spice grinder, cutting board
    """),
    acts=terms("""
        preheat the oven, salt the water, rest the dough, sear the meat, deglaze the pan, toast the spices, sharpen the
        knife, render the fat, fold in the egg whites, proof it overnight, reduce the sauce, blanch the beans, temper
        the chocolate, soak the lentils, brown the butter, weigh the flour, let it rest, dry-brine it, skim the foam
    """),
    people=terms("""
        chef, baker, butcher, line cook, home cook, food blogger, grandma, pastry chef, guest, fishmonger, waiter,
        sous chef, neighbour, dinner host, barista, farmer
    """),
    places=terms("the market, medium heat, room temperature, the restaurant, Sunday dinner, the butcher, the table"),
    statements=lines("""
        Always {act} before you touch the {topic}.
        I use {n} g of flour and {n} ml of water for the {topic}, comes out {quality}.
        The trick with the {topic} is to {act} and then wait {n} minutes.
        That {topic} looks {good}, I would eat the whole thing.
        {n} degrees for {n} minutes, then {act}.
        Skip the {topic} and use the {topic} instead, it is {how} {quality}.
        The {who} at {place} told me to {act} first.
        Recipe here, scroll past the life story: {url}
        You can buy a decent {topic} for {price}, don't overspend.
        Free-range chicken makes a better {topic}, no question.
        My {topic} always turns out {bad} unless I {act}.
        A pinch of {coin} in the {topic} changes everything.
        Kill the heat, add the {topic}, cover it and {act}.
        I ruined the {topic} {when} like an idiot because I forgot to {act}.
        Store bought {topic} is fine, don't let any {who} tell you otherwise.
        The fat in the {topic} carries the flavour, so {act}.
        Half the price of the {topic} at {place} and just as {good}.
        {name}'s book has a(n) {good} chapter on the {topic}.
        Don't be a chicken, {act} and hope for the best.
        I double the {topic} and halve the sugar, works {how} well.
        The {topic} freezes well for up to {small} months.
        Made the {topic} {when}, {small} people asked for seconds.
    """),
    questions=lines("""
        Can I {act} the day before?
        What can I use instead of the {topic}?
        Why is my {topic} so {bad} even when I {act}?
        How long does the {topic} keep in the fridge?
        Is a {price} {topic} really that much better than mine?
        Do I need to {act} if I'm using the {topic}?
        Stupid question maybe, but how do you clean the {topic}?
        Anyone got a(n) {good} recipe for the {topic} without {coin}?
        Does {place} matter for the {topic} or can I just {act}?
    """),
    anecdotes=lines("""
        My {relative} used to make the {topic} every Sunday and never wrote it down.
        When I was {small} my {relative} taught me to {act}, I still do it.
        I worked in a kitchen in {year} and the {who} made us {act} for hours.
        We had the {topic} at our wedding and my {relative} still talks about it.
        I burned my hand on the {topic} in {year}, {remedy} helped with the pain.
        I cut out the {topic} and my {ailment} got much better.
    """),
    drifted_topics=terms("""
        chili crisp, tinned fish, smash taco, koji butter, oat custard, whipped feta, hot honey, carbon steel wok, yuzu
        kosho, cloud bread, cottage cheese wrap, induction hob, dubai chocolate, mushroom jerky, ube spread, fermented
        garlic honey, protein noodle, gochujang cookie, freeze-dried berry, birria broth
    """),
)
