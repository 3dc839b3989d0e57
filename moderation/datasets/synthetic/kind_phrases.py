"""Words and phrases that indicate the kinds that moderators remove, most frequent first."""

from __future__ import annotations

from moderation.datasets.synthetic.tables import lines, terms

SLOTS: dict[str, tuple[str, ...]] = {
    "insult": terms("""
        idiot, moron, clown, loser, dumbass, imbecile, muppet, troll, donkey, jerk, dimwit, snowflake, crybaby, tool,
        buffoon, parasite, coward, halfwit, simp, doofus, knucklehead, weirdo, neckbeard, shill, dunce, twerp, bozo
    """),
    "insulting": terms("""
        stupid, dumb, pathetic, clueless, brainless, ignorant, disgusting, spineless, braindead, worthless, delusional,
        moronic, idiotic, gutless, whiny, illiterate, toxic, deranged
    """),
    "offer": terms("""
        free gift card, easy money from home, cheap followers, guaranteed returns, instant loan, miracle diet pill,
        replica watch, free iphone, hot singles, online casino bonus, discount pharmacy, crypto doubling, work from
        home job, luxury handbag outlet, weight loss tea, account booster, passive income course, free gems generator,
        private coaching, essay writing service, unlocked account, forex signal group
    """),
    "politics": terms("""
        election, border, government, left, right, president, media, globalists, taxes, immigrants, elites, party,
        senate, deep state, mainstream media, protest, regime, lobby, prime minister, welfare crowd, ruling class
    """),
}

PHRASES: dict[str, tuple[str, ...]] = {
    "joke": lines("""
        I also choose this guy's {topic}.
        Instructions unclear, got stuck in the {topic}.
        My {relative} walked into a bar with a(n) {topic}. Ouch.
        Why did the {who} cross the road? To {act}.
        Sir, this is a Wendy's.
        Plot twist: the {topic} was the {who} all along.
        In Soviet Russia the {topic} will {act} you.
        That's what she said {emoji}
        Thanks, autocorrect.
        So you're telling me there's a(n) {topic}.
        I, for one, welcome our new {topic} overlords.
        Scientists hate this one {topic}.
        How many {who}s does it take to {act}? {small}, and one to film it.
        Yo mama so old she knew the {topic} in person.
        Knock knock. Who's there? The {topic}. lol
        Step 1: {act}. Step 2: ??? Step 3: profit.
        {topic}? I hardly know her.
        My {topic} can beat up your {topic} {emoji}
        Task failed successfully.
        The {topic} walks into {place}, the {who} says: why the long face?
        Big if true. The {topic} lobby is shaking.
        I'll tell you a joke about the {topic}, but you won't get it until you {act}.
        Dad, is that you? {emoji}
        Netflix adaptation of the {topic} when?
    """),
    "anecdote": lines("""
        True story, my {relative} had the same thing in {year}.
        It worked for my {relative} so it can work for you.
        I've lived through this myself in {year}, it was {bad}.
        I know a(n) {who} who lost everything because of the {topic}.
        When I was {age} I swore I would never {act}, and here I am.
        My {relative} had {ailment} and the {who} laughed at us.
        Speaking from personal experience, {remedy} does the job.
    """),
    "heated": lines("""
        You clearly have no idea what you are talking about.
        This is a(n) {insulting} take and you should feel bad.
        What a load of {swear}, did you even look at the {topic}?
        Are you serious? Nobody who can {act} would write that.
        I'm so sick of people like you in every thread about the {topic}.
        Stop lying, everyone can see the {topic}.
        That is {swear} nonsense and you know it.
        Learn to read before you post.
        Wow, another expert on the {topic}. {slang}
        You people are unbelievable.
        Who asked you?
        Wrong. Wrong again. Go {act} and come back.
        Congratulations on missing the point for the {small}th time.
        The {who} should be ashamed, it's {insulting}.
        I can't believe anyone defends the {topic}, it's {bad}!
        Keep telling yourself that {emoji}
        Your argument is {insulting}, not you.
        Why are you all so angry about a {swear} {topic}?
        Maybe try thinking for {small} seconds.
    """),
    "insult": lines("""
        You are a(n) {insult}.
        Shut up, {insult}.
        What a(n) {insulting} {insult} you are.
        Only a(n) {insult} would {act}.
        Go back to school, you {insulting} {insult}.
        You {insult}s are all the same.
        Nobody likes you, {insult}.
        Get lost, {insulting} little {insult}.
        How {insulting} can you be? {insult}.
        Typical {insult}, can't even {act}.
        Your mother must be so proud of raising such a(n) {insult}.
        Delete your account you {insult}
        Another {insulting} comment from the biggest {insult} here.
        {user} is a(n) {insulting} {insult} and always was.
        Cry more, {insult} {emoji}
        You're too {insulting} to understand the {topic}.
        lol look at this {insult} who thinks the {topic} is {good}
        Every village has its {insult}, ours is online.
        I hope you choke on your {topic}, {insult}.
        People as {insulting} as you should be banned from the {topic}.
        Imagine being this {insulting}.
        {insult}. {insult}. {insult}.
        Every {who} is a(n) {insult}, and you are the worst.
        Touch grass, {insult}.
        Waste of oxygen.
    """),
    "spam": lines("""
        {offer}! Visit {spam_url} now
        I made {price} in one week with this {offer}, click {spam_url}
        Get your {offer} here: {spam_url}
        DM me on telegram {contact} for a(n) {offer}
        Limited time: {pct} off every {offer} at {spam_url}
        Best {offer} {year}, no verification, whatsapp +{phone}
        Check out my channel {contact}, I post about the {topic} daily, like and subscribe
        Contact {contact}, he helped me recover {price} after the {topic}
        Use promo code {code} for your {offer} {spam_url}
        Are you tired of the {topic}? Try our {offer} today
        100% legit {offer}, {n} spots left, join {spam_url}
        My friend {name} turned {price} into {price} with {offer}, ask me how
        Hi dear, nice {topic}, visit my profile for {offer}
        Congratulations, you won a(n) {offer}! Claim: {spam_url}
        {link} cheapest {topic} with free shipping worldwide
        Follow {contact} for follow back
        Earn {price} per day, no experience, link in bio
        Trusted vendor, {offer}, fast delivery, {spam_url}
        Thank me later {spam_url}
        I was skeptical too but {offer} changed my life, message {contact}
    """),
    "off_topic": lines("""
        Meanwhile the {politics} does whatever it wants.
        Wake up people, the {politics} is behind all of this.
        This country is finished thanks to the {politics}.
        Nobody talks about the {politics} anymore, I wonder why.
        If you vote for them again you get what you deserve.
        The {politics} and the {politics} are two sides of the same coin.
        Follow the money and you end up at the {politics}.
        Typical {politics} propaganda, they censor everything.
        Ask yourself who benefits when the {politics} says so.
        My team lost {small} to {small} {when}, the referee was blind.
        Anyone watching the game tonight? {name} is on fire.
        What is everyone listening to? The new album by {name} is {good}.
        I had the weirdest dream {when}, it had {name} and a horse in it.
        Selling my old couch, pick up at {place}, {price}.
        They want to track you through the {topic}, look up {coin}.
        In {year} the {politics} promised us the opposite.
        The {politics} will take your {topic} next.
        Off topic, but does anyone have a cat that hates the {politics}?
        History will judge the {politics}.
        Do your own research on {coin}, the {politics} won't tell you.
    """),
}
