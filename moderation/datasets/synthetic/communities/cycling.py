"""A cycling community: gear, routes and close passes."""

from __future__ import annotations

from moderation.datasets.synthetic.community import Community
from moderation.datasets.synthetic.kinds import Kind
from moderation.datasets.synthetic.tables import lines, terms

CYCLING = Community(
    name="cycling",
    traffic_share=0.10,
    strictness=0.9,
    moderators=3,
    peak_hour=12,
    kind_weights={Kind.INSULT: 0.04, Kind.HEATED: 0.05, Kind.QUESTION: 0.17, Kind.ANECDOTE: 0.12},
    anecdote_reason="ride report outside the thread",
    topics=terms("""
        bottom bracket, chain, cassette, tubeless tyre, gravel bike, saddle, climb, group ride, bike lane, close pass,
        power meter, derailleur, rim brake, disc rotor, carbon frame, steel frame, handlebar bag, pannier, commute,
        headwind, descent, hub, spoke, inner tube, floor pump, chain lube, cleat, bib short, helmet, rear light,
        dropper post, crank arm, sprint, time trial, criterium, training plan, interval session, FTP test, heart rate
        zone, indoor trainer, bike fit, stem length, frame size, wheelset, ebike motor, battery range, lock, bike
        theft, pothole, traffic light, roundabout, touring route, century ride, mudguard, freewheel, cable housing,
        singletrack
    """),
    acts=terms("""
        true the wheel, wax the chain, bleed the brakes, index the gears, lower the saddle, ride on the drops, swap the
        cassette, take the lane, patch the tube, climb seated, spin at ninety, eat before you are hungry, draft the
        group, check the torque, clean the drivetrain, call the shop, get a bike fit, ride to work, lock the frame
    """),
    people=terms("""
        mechanic, driver, commuter, roadie, bike shop owner, sprinter, triathlete, courier, coach, pedestrian, mountain
        biker, tourer, race director, club captain, cop, wheel builder
    """),
    places=terms(
        "the top of the pass, the shop, mile sixty, the crossing, the velodrome, the cafe stop, km 80, the start"
    ),
    statements=lines("""
        Your {topic} is probably worn out, {act} first.
        I run {n} mm tyres at {n} psi and the {topic} feels {quality}.
        Did {n} km with {n} m of climbing {when}, the {topic} was {how} {quality}.
        The {who} at {place} quoted me {price} for a(n) {topic}.
        A driver nearly killed me at {place} because he ignored the {topic}.
        Just {act}, it is free and saves more watts than the {topic}.
        The {code} groupset is {good}, but the {topic} is {bad}.
        Route is here if anyone wants it: {url}
        Whoever put the {topic} at {place} is a muppet, sorry.
        I weigh {n} kg and never broke a(n) {topic}.
        Cheap {topic} from the discount bin, {price}, works {how} well.
        {name} won the stage with a stupidly {good} {topic}.
        If the {topic} creaks, {act}, nine times out of ten it is that.
        My {topic} from {coin} has {n} thousand km on it.
        The city promised a(n) {topic} by {year}, still waiting.
        You don't need a(n) {topic}. You need to {act}.
        Hit {n} km/h on the {topic} and nearly crapped myself.
        Wear a helmet, {act}, and ignore the {who} shouting at you.
        The {topic} came with a broken {topic}, support replaced it for free.
        Zone {small} for {n} minutes, then {act}, repeat until dead.
    """),
    questions=lines("""
        How often do you {act}?
        Is the {topic} compatible with a(n) {code}?
        What {topic} would you buy for under {price}?
        Anyone else hear a click from the {topic} when you {act}?
        Should I {act} before a {n} km ride?
        Is it stupid to {act} with a(n) {topic}?
        Which {who} near {place} can fix a(n) {topic}?
        Does the {topic} really save {n} watts?
    """),
    anecdotes=lines("""
        I broke my collarbone in {year} when a(n) {who} cut me off, took {small} months to heal.
        My {relative} rode {n} km on an old steel bike in {year} without a(n) {topic}.
        I had {ailment} for years until I started to {act}.
        I got hit by a car at {place} in {year}, the {who} just drove off.
        My first {topic} was stolen after {small} days, still angry.
        My knee hurt for {small} weeks and {remedy} fixed it, your mileage may vary.
        I lost {n} kg since {year} just because I {act} every day.
    """),
    drifted_topics=terms("""
        mullet drivetrain, aero gravel bar, wireless shifter, mid-drive cargo bike, hookless rim, TPU tube, radar light,
        fatbike tax, bike bus, paired-spoke wheel, one-by-thirteen, smart rollers, carb-heavy bottle, 32-inch wheel,
        low-traffic filter, subscription ebike, 3D-printed saddle, crossfit cleat, ceramic wax, speed pedelec
    """),
)
