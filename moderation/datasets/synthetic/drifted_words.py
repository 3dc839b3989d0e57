"""Words after the vocabulary drift. New topics of communities are in ``communities``."""

from __future__ import annotations

from moderation.datasets.synthetic.tables import lines, terms

SLOTS: dict[str, tuple[str, ...]] = {
    "slang": terms("""
        istg, ong, delulu, skibidi, rizzless, mid, based, sus, ratio, aura minus, bffr, ate that, cooked, glazing, it's
        giving, crash out, lock in, chat is this real, six seven, aura farming, unc status, yapping
    """),
    "emoji": terms("🫠, 🫡, 🥀, 🗿, 😮‍💨, 🫶, 🤌, 🧃, 🪦, :3, ^^"),
    "good": terms("goated, fire, peak, immaculate, clutch, elite, unreal, top tier"),
    "bad": terms("cooked, enshittified, mid, washed, cringe, rancid, slop, glitched out"),
    "quality": terms(
        "mid, goated, vibe-coded, overcooked, underbaked, enshittified, sloppy, next level, algorithmic, retro"
    ),
    "how": terms("lowkey, genuinely, criminally, unironically, straight up, fully"),
    "insult": terms("""
        npc, smoothbrain, clanker, bootlicker, walnut, grifter, mouthbreather, doomer, slopmonger, crashout, goober,
        tryhard
    """),
    "insulting": terms(
        "braincooked, terminally online, smooth-brained, npc-tier, unhinged, chronically wrong, cringe, rotten"
    ),
    "offer": terms("""
        AI trading agent, peptide starter kit, prompt mastery bundle, airdrop claim, deepfake headshot pack, tax rebate
        unlocker, robot side hustle, cloud mining node, hair growth serum, verified badge service, esim deal, pre-launch
        token, ghostwriter bot, smart ring giveaway
    """),
    "politics": terms("""
        algorithm, data centers, tariff people, censorship bureau, technocrats, coalition, digital id, supreme court,
        surveillance state, chancellor, climate lobby, ministry
    """),
}

PHRASES: dict[str, tuple[str, ...]] = {
    "statements": lines("""
        The {topic} is so {quality} right now, {slang}.
        My feed is nothing but {topic} clips since {when}.
        Asked the chatbot about the {topic} and it told me to {act}.
        That thread about the {topic} was written by a bot, change my mind.
        {coin} dropped a(n) {topic} {when} and it's {how} {quality}.
        The {topic} is the new {topic}.
        Generated summary for those in a hurry: {act}.
        Subscription for a(n) {topic}? {price} a month? Hard pass.
        The vibe at {place} is {good} since the {topic}.
        We are so back, the {topic} is {good}.
        It's so over for the {topic}, {slang}.
        Not the {who} trying to {act} again {emoji}
        Main character energy from that {who} at {place}.
        POV: you just wanted to {act} and got a(n) {topic}.
        The algorithm decided that I need a(n) {topic}.
        Normalise the {topic}, it costs {price}.
        {name} posted a ten part rant on the {topic}.
    """),
    "spam": lines("""
        My {offer} trades while I sleep, onboarding at {spam_url}
        Claim your {offer} before the snapshot, wallet connect {spam_url}
        Reply "{code}" and our assistant sends you the {offer}
        Join the private server {contact}, {offer} drops at {n}:00
        Scan the code in my profile for a(n) {offer}, {pct} cashback
        Refund agent {contact} unlocked {price} for me, {offer} included
        Beta testers wanted for a(n) {offer}, we pay {price} in tokens
        {offer} waitlist is open {spam_url}
    """),
    "insult": lines("""
        Certified {insult} moment.
        Bro is a(n) {insulting} {insult}.
        Least {insulting} {topic} enjoyer.
        {insult} detected, opinion rejected.
        Log off, {insult}.
        Go glaze your {topic} somewhere else, {insult}.
        Chat, is this {insult} real?
        L take from a(n) {insulting} {insult}.
        Skill issue, {insult}.
        Tell me you're {insulting} without telling me you're {insulting}.
        Somebody revoke the keyboard of this {insult}.
        {insulting} behaviour, blocked.
        You fell off harder than the {topic}, {insult}.
    """),
    "heated": lines("""
        Nobody prompted you for that opinion.
        Respectfully, this is {insulting} slop.
        Read the room, the {topic} is {bad}.
        Did a bot write this? It reads {insulting}.
        Imagine typing that out with a straight face {emoji}
        I am begging you to {act} before you post.
    """),
    "off_topic": lines("""
        The {politics} is turning all of us into data points.
        They switched off the cameras when the {politics} came to town.
        Funny how the {politics} never shows up in your feed.
        Unpopular opinion: the {politics} should be abolished.
        My horoscope says {coin} will rise {when}.
        Who else is boycotting the {politics}? Petition: {url}
        The {politics} bought the {politics}, do the math.
        Season finale of the dating show was {bad}, {name} deserved better.
    """),
}
