"""A gaming community: large, loud, lenient."""

from __future__ import annotations

from moderation.datasets.synthetic.community import Community
from moderation.datasets.synthetic.kinds import Kind
from moderation.datasets.synthetic.tables import lines, terms

GAMING = Community(
    name="gaming",
    traffic_share=0.28,
    strictness=0.7,
    moderators=5,
    peak_hour=21,
    kind_weights={Kind.INSULT: 0.065, Kind.HEATED: 0.07, Kind.JOKE: 0.10, Kind.ANECDOTE: 0.05, Kind.QUESTION: 0.11},
    anecdote_reason="blog post",
    topics=terms("""
        boss fight, patch, frame rate, loot box, battle pass, skill tree, matchmaking, final mission, side quest,
        open world, respawn timer, ranked ladder, hitbox, tutorial, save file, expansion, trailer, early access build,
        controller layout, voice acting, soundtrack, speedrun, glitch, mod, crafting system, stealth section, inventory
        screen, drop rate, nerf, buff, meta build, healer, tank, sniper rifle, map rotation, dungeon, raid group, guild,
        escort quest, photo mode, remaster, demo, loading screen, anti-cheat, server tick rate, netcode, leaderboard,
        cosmetic shop, season reset, handheld port, dialogue system, permadeath run, mini map, grappling hook, jump
        scare, co-op campaign, fast travel, weapon durability, ending, price tag
    """),
    acts=terms("""
        farm the dungeon, grind the ladder, respec the build, dodge the second phase, skip the cutscene, roll a healer,
        install the mod, lower the shadows, update the driver, clear the raid, rush B, kite the adds, sell the loot,
        parry the combo, uninstall and reinstall, queue with friends, main a tank, pick the stealth route, preorder
    """),
    people=terms("""
        dev, streamer, teammate, healer main, speedrunner, publisher, modder, reviewer, sweaty tryhard, noob, sniper,
        guild leader, community manager, completionist, lore nerd, beta tester
    """),
    places=terms("the arena, spawn, the last checkpoint, the swamp level, the vendor, launch, the LAN party, mid lane"),
    statements=lines("""
        The {topic} is the best part of the game, fight me.
        That {topic} took me {n} tries and I died at {place} every single time.
        After patch {small}.{n} the {topic} feels {how} {quality}.
        Just {act}, it is {how} faster than the {topic}.
        Getting {n} fps on a(n) {code} with everything maxed out.
        The {who} clearly never had to {act}.
        I love how you can {act} and the {topic} still works.
        They want {price} for a(n) {topic}? Nah, I'll wait for the sale.
        Free weekend starts friday, good time to {act}.
        The {topic} kills me. I swear that boss is an idiot and still wins.
        The {topic} in {coin} was way {quality}, the devs should copy it.
        You have to kill {n} of them before the {topic} even spawns.
        My clan cleared it with {small} people, no {topic} needed.
        {name} streamed the whole {topic} yesterday: {url}
        We lost because nobody wanted to {act}, typical {when} matchmaking.
        Every trash mob at {place} drops {coin} now, so the {topic} is worthless.
        They should shoot whoever designed the {topic}, then {act}.
        {slang}, the {topic} is {quality} but the {topic} carries it.
        The wiki says the {topic} scales with luck up to {pct}.
        I was such a noob at {place}, didn't even know you could {act}.
        Bought the bundle for {price}, the {topic} alone is worth it.
        Use the code {code} for a free {topic}, got it from the official newsletter.
        The lore behind {coin} and the {topic} is {how} {quality}.
        gg to whoever carried my team through the {topic} {when}.
    """),
    questions=lines("""
        How do I {act} without losing the {topic}?
        Is the {topic} bugged for anyone else since {when}?
        What's the best build for the {topic} at level {n}?
        Anyone want to {act} tonight? EU, {small} spots left.
        Does the {topic} carry over if I {act}?
        Is {coin} worth {price} if I hated the {topic}?
        Which {who} should I ask about the {topic}?
        Am I stupid or is there no way to {act} at {place}?
    """),
    anecdotes=lines("""
        I remember playing this with my {relative} in {year}, we could never {act}.
        My {relative} and I spent a whole summer on the {topic}, best time of my life.
        I was {small} when I got my first console and the {topic} blew my mind.
        I took a day off work in {year} just to {act}, no regrets.
        Met my wife through the {topic} actually, she used to {act} in my guild.
        Back in {year} I had a(n) {code} and the {topic} ran at {n} fps.
    """),
    drifted_topics=terms("""
        extraction loop, frame generation, cozy farm sim, auto battler, live-service roadmap, ray-traced remaster, AI
        companion, gacha banner, creator map, upscaler, roguelite draft, photoreal mod, handheld dock, hero brawler,
        friend pass, battle bus, neural shader, prestige track, cross-progression, town portal, mech loadout
    """),
)
