"""Words by template slot and phrases by group that every community shares; most frequent first."""

from __future__ import annotations

from moderation.datasets.synthetic.tables import lines, terms

SLOTS: dict[str, tuple[str, ...]] = {
    "good": terms("""
        great, good, amazing, solid, lovely, excellent, decent, fantastic, brilliant, delicious, neat, impressive,
        gorgeous, perfect, stunning, sweet, crisp, charming, fabulous, sublime
    """),
    "bad": terms("""
        bad, terrible, awful, disappointing, mediocre, horrible, bland, broken, annoying, painful, useless,
        embarrassing, garbage, soggy, ridiculous, tragic, dreadful, shoddy, sloppy, trash, lame
    """),
    "quality": terms("""
        good, better, fine, interesting, reasonable, weird, underrated, different, solid, worse, useful, boring,
        tricky, expensive, promising, convincing, questionable, predictable, overrated, complicated, slow, elegant,
        noisy, fragile, messy, robust, subtle, stale, fair, uneven, clunky, smooth
    """),
    "how": terms("""
        really, pretty, way, quite, surprisingly, a bit, honestly, kind of, absolutely, somewhat, super, insanely,
        weirdly, noticeably, annoyingly, oddly
    """),
    "when": terms("""
        yesterday, last week, this morning, on Tuesday, last month, tonight, over the weekend, on Friday, two days ago,
        last year, an hour ago, at noon, before the holidays, on Sunday night, this spring, last winter, in September
    """),
    "relative": terms("""
        brother, mom, wife, dad, sister, husband, uncle, roommate, cousin, aunt, girlfriend, grandfather, boyfriend,
        nephew, mother in law, best friend, daughter, son, boss, grandmother
    """),
    "ailment": terms("""
        back pain, migraine, insomnia, anxiety, eczema, acid reflux, asthma, high blood pressure, tinnitus, IBS, chronic
        fatigue, psoriasis, knee pain, a rash, brain fog, diabetes, vertigo, hay fever, arthritis, gout
    """),
    "remedy": terms("""
        green tea, magnesium, cold showers, apple cider vinegar, turmeric, yoga, cutting out sugar, ginger, fasting,
        zinc, melatonin, honey, cannabis oil, vitamin C, coffee, meditation, salt water, fish oil, sauerkraut, a good
        night's sleep
    """),
    "slang": terms("""
        ngl, tbh, imo, lol, fwiw, idk, lmao, imho, smh, iirc, fr, afaik, lowkey, no cap, tl;dr, yikes, big oof, bruh,
        welp, deadass, highkey, yolo, rofl
    """),
    "swear": terms("damn, crap, hell, bloody, freaking, sh*t, d*mn, friggin, cr4p, bullcrap, heck, f***ing, bs"),
    "emoji": terms("😂, 🙂, 👍, 🔥, 😭, 🙄, :), ;), :D, 💀, 🤔, ❤️, 👏, xD, :(, 🤷, 🎉, 😅, 🙏"),
}

# short: whole comments, of the kind nobody remembers. edgy: harmless sentences with the words of the bad kinds, so
# that no word alone gives a comment away.
PHRASES: dict[str, tuple[str, ...]] = {
    "short": lines("""
        This.
        Thanks!
        Same here.
        lol
        Great post, thanks for sharing.
        Agreed.
        Came here to say this.
        Source?
        Nope.
        Exactly this.
        Yep, can confirm.
        Following.
        What?
        {slang}
        Happy cake day!
        Not even close.
        {emoji}
        Underrated comment.
        +1
        I wish.
        Good bot.
        Link?
        You dropped this: \\
        {user} look at this
        Well, {swear}.
        No.
        ok
        Love it {emoji}
        Proof?
        Deleted my earlier comment, I was wrong.
        Any update on the {topic}?
        {topic}.
        Found it: {url}
        That {topic} tho
        RemindMe! {small} days
        Thank you {name}!
        Why though?
    """),
    "statements": lines("""
        I think the {topic} is {how} {quality}.
        {slang} I never thought about the {topic} that way.
        I'm not sure I agree, the {topic} was {quality} {when}.
        You make a fair point about the {topic}.
        That was {good}, thanks for posting it.
        The {topic} is overrated if you ask me.
        It depends on the {topic}, and on what you want.
        I've been saying this about the {topic} since {year}.
        To be fair, {name} did mention the {topic} {when}.
        People forget that you have to {act} first.
        I would rather {act} than deal with another {topic}.
        Could be, but I have yet to see a(n) {good} {topic}.
        Not my experience, the {topic} was {quality} for me.
        There's a(n) {good} write-up here {url}
        If anyone is interested, {link} covers the {topic}.
        It's {how} {quality} compared to the {topic} from {year}.
        Best advice I got {when}: {act}.
        The difference is about {pct}, so who cares.
        I laughed way too hard at this {emoji}
        Honestly the comments here are better than the {topic}.
        I hope they {act} soon.
        You can't compare the {topic} with the {topic}.
        Someone explained it {when}, the short version is: {act}.
        It's a(n) {quality} idea, but the {topic} will get in the way.
        In my opinion the {who} is right about this one.
        Most of us don't {act} often enough.
        I paid {price} for mine and it is {quality}.
        Ask {user}, they know more about the {topic} than anyone.
        Wait until you see the {topic} at {place}.
        Edit: typo, I meant the {topic}.
        And yet the {topic} keeps getting {quality}.
        Maybe it's just me but the {topic} feels {bad} lately.
        That's what I call a(n) {good} {topic}.
        For what it's worth, {name} recommends you {act}.
        The {who} told us to {act}, so we did.
        There were about {n} people at {place} {when}.
        Only took them {small} years to {act}.
        I agree with {user}, {act} and you'll be fine.
        The {coin} one is {good} too.
        Nothing beats a(n) {good} {topic}.
        Long story short, don't {act} {when}.
        I learned more from this thread than from any {who}.
        Happy to be proven wrong about the {topic}.
        Mine is the {code}, bought it in {year}.
        We tried to {act} {when}, it went {how} well.
        They announced it on {date} and it was {quality} from day one.
        I wouldn't call it {bad}, just {quality}.
        That's {how} {quality}, but the {topic} still bothers me.
        Funny how {coin} is everywhere now.
        Thanks, I will {act} and report back.
        I've had the {topic} for {small} years, no complaints.
        The average is closer to {n}, see {url}
        Whatever you do, don't let the {who} near the {topic}.
    """),
    "questions": lines("""
        Has anyone tried to {act}?
        What do you all think about the {topic}?
        Where can I find a(n) {good} {topic}?
        Does anybody know if {name} still does this?
        Why does everyone hate the {topic}?
        How much did you pay for yours?
        Is it just me or is the {topic} {bad} now?
        Can someone explain the {topic} to me?
        Is {url} a legit site or a scam?
        What's the deal with {coin}?
        Do I really have to {act}?
        Anyone remember the {topic} from {year}?
        Is {small} too many?
        Did the {who} ever answer {user}?
    """),
    "edgy": lines("""
        I'm such a(n) {insult}, I forgot to {act}.
        Don't listen to anyone who calls you {insulting} for asking.
        That {topic} is a(n) {insulting} {swear} mess, but I love it.
        My {relative} called me a(n) {insult} when I tried to {act}.
        Mods, can you please ban the "{offer}" spammers?
        I got a mail saying "{offer}", obviously a scam.
        It was {insulting} of me to {act}.
        Shut up and take my money {emoji}
        {swear}, that {topic} is {good}!
        The character is a(n) {insult}, that's the whole point.
        You're a legend, thank you!
        You are wrong about the {topic}, but I see where you're coming from.
        Free shipping until {when}, use {code} if you need a(n) {topic}.
        I hate the {topic} so much it hurts.
        Calling each other {insulting} helps nobody.
        Who else is sick of politicians and the {politics}? Anyway, back to the {topic}.
        They gave me {pct} discount because the {topic} was {bad}.
        What a(n) {insulting} {topic}. I want {small} of them.
        I was a(n) {insult} at {small} too, you'll grow out of it.
        Click the link in the sidebar, it's the same {topic}.
        I killed the {topic}, my {relative} is going to murder me.
        OMG the {topic} is so {good}!!! {emoji}
        {name} is a {swear} genius.
    """),
    "edits": lines("""
        Edit: spelling.
        EDIT: thanks for the award, kind stranger!
        Edit: {link} for those who asked.
        Edit 2: ok I get it, you should {act}.
        edit - it was {n}, not {n}.
        EDIT: wow, didn't expect so many replies.
        Edit: added the {topic}.
        Edit: to everyone who disagrees, fine {emoji}
        Edit: {slang}, the {topic} is {quality} after all.
    """),
}
