"""The words that arrive with the vocabulary drift. Communities' own new topics are in ``communities``."""

from __future__ import annotations

from moderation.sources.generator.tables import lines, terms

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
        {coin} dropped a {topic} {when} and it's {how} {quality}.
        The {topic} is the new {topic}.
        Generated summary for those in a hurry: {act}.
        Subscription for a {topic}? {price} a month? Hard pass.
        The vibe at {place} is {good} since the {topic}.
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
    """),
}
