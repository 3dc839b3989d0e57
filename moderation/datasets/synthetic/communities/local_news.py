"""A local news community: council, traffic, crime; the most heated one, moderated strictly."""

from __future__ import annotations

from moderation.datasets.synthetic.community import Community
from moderation.datasets.synthetic.kinds import Kind
from moderation.datasets.synthetic.tables import lines, terms

LOCAL_NEWS = Community(
    name="local-news",
    traffic_share=0.15,
    strictness=1.3,
    moderators=4,
    peak_hour=7,
    kind_weights={Kind.INSULT: 0.085, Kind.HEATED: 0.09, Kind.OFF_TOPIC: 0.05, Kind.JOKE: 0.05, Kind.QUESTION: 0.10},
    anecdote_reason="unverified personal report",
    topics=terms("""
        city council, parking fee, school budget, bus line, housing project, mayor, road closure, noise ordinance,
        property tax, police report, library, farmers market, stadium deal, zoning hearing, rent increase, power cut,
        water main, snow plow, recycling schedule, dog park, playground, bridge repair, train station, bike lane, speed
        camera, homeless shelter, food bank, hospital merger, school board, election, recall vote, bond measure, fire
        station, landfill, wind farm, data center, warehouse, flood map, evacuation order, storm damage, tree removal,
        public pool, curfew, street fair, food truck permit, liquor license, demolition, historic facade, bus strike,
        teacher contract, pothole, parade, traffic light, animal shelter, sidewalk, transit pass, planning office
    """),
    acts=terms("""
        attend the hearing, call the council, fix the potholes, vote in the primary, raise the fee, close the street,
        read the minutes, fund the library, plow the side streets, build more housing, file a complaint, publish the
        audit, rezone the block, cut the budget, enforce the limit, sign the petition, ask the reporter, move away
    """),
    people=terms("""
        mayor, councillor, landlord, tenant, developer, teacher, bus driver, police chief, resident, reporter, shop
        owner, neighbour, firefighter, superintendent, commuter, contractor, clerk
    """),
    places=terms("city hall, Main Street, the old mill, the corner of 5th, Riverside, the mall, the depot, Elm Park"),
    statements=lines("""
        The {topic} was approved {n} to {small}, the minutes are online: {url}
        They spent {price} million on the {topic} and still can't {act}.
        The {who} said at {place} that the {topic} will be done by {year}.
        I live two blocks from {place} and the {topic} has been {quality} for months.
        If you care about the {topic}, {act}. The meeting is {when}.
        The {topic} went up {pct} in a year, of course people are angry.
        Turnout was {pct}, so a few hundred people decided the {topic}.
        {name} was the only {who} who asked about the {topic}.
        Police say a man was shot near {place}, no word on the {topic} yet.
        Nobody at {place} wants the {topic}, but somebody has to {act}.
        The old {topic} was {bad}, the new one is {how} {quality}.
        The shelter gives free meals at {place} {when}.
        My street still waits for the {topic}. Report number {code}, if anyone cares.
        A clown could plan a better {topic} than this.
        Credit where it's due, the {who} did {act} this time.
        They closed {place} for the {topic}, take the {n} bus instead.
        It is a stupid rule, but it is the rule: you have to {act} first.
        The {coin} company won the contract for the {topic}.
        The audit found {price} missing from the {topic}.
        Save the date: street fair at {place}, free entry, {n} stalls.
        Everyone complains about the {topic} and nobody wants to {act}.
        The fire near {place} killed power to {n} homes.
    """),
    questions=lines("""
        When is the next hearing on the {topic}?
        Does anyone know what happened at {place} {when}? Saw {small} police cars.
        Who do I call about the {topic}?
        Is the {topic} still closed?
        Why can't the {who} just {act} like every other town?
        What did the {who} mean by {pct}?
        Has the {topic} been moved to {place}?
        Where does the {price} for the {topic} come from?
    """),
    anecdotes=lines("""
        My {relative} got a ticket at {place} in {year} and had to {act} to get out of it.
        I saw the {who} at {place} and he was clearly drunk, {small} of us can confirm.
        My landlord raised the rent by {pct} and threw my {relative} out.
        A guy at {place} broke into my car {small} times, I know who it is.
        My {relative} works at {place} and says the {topic} is a cover up.
        I lived next to {place} since {year} and never once saw them {act}.
        My neighbour has {ailment} because of the {topic}, everyone here knows it.
    """),
    drifted_topics=terms("""
        congestion charge, drone delivery pad, robotaxi pilot, heat pump grant, facial recognition trial, short-stay
        cap, sponge park, AI hotline, school phone ban, battery farm, citizens assembly, gondola study, night bus,
        rent registry, flock of scooters, cooling centre, land bank, pickleball court, microgrid, fare cap
    """),
)
