"""A science community: papers and their limits; strict about anecdotes."""

from __future__ import annotations

from moderation.datasets.synthetic.community import Community
from moderation.datasets.synthetic.kinds import Kind
from moderation.datasets.synthetic.tables import lines, terms

SCIENCE = Community(
    name="science",
    traffic_share=0.22,
    strictness=1.7,
    moderators=6,
    peak_hour=17,
    kind_weights={Kind.ANECDOTE: 0.11, Kind.JOKE: 0.09, Kind.HEATED: 0.04},
    anecdote_reason="medical anecdote",
    topics=terms("""
        sample size, control group, meta-analysis, placebo effect, effect size, study, gut microbiome, vaccine trial,
        p-value, peer review, sleep study, mouse model, confidence interval, methodology, press release, headline,
        abstract, preprint, gene therapy, mRNA platform, telescope image, exoplanet, dark matter signal, fusion
        reactor, superconductor, battery chemistry, climate model, ocean current, ice core, coral reef, pollinator
        decline, antibiotic resistance, protein structure, stem cell, brain scan, memory task, survey data, twin
        study, cohort, confounder, dose response, side effect, vitamin D supplement, fasting window, caffeine intake,
        blood pressure reading, replication attempt, Bayesian prior, causal diagram, particle accelerator, gravity
        wave, fossil record, quantum dot, carbon isotope, statistical power, funding source, conflict of interest,
        genome assembly, enzyme, neural implant
    """),
    acts=terms("""
        read the paper, control for income, replicate the result, randomise the groups, check the supplement, publish
        null results, correct for multiple comparisons, share the raw data, blind the raters, plot the residuals,
        preregister the analysis, measure the baseline, rule out reverse causation, calibrate the instrument,
        sequence the samples, follow patients for a decade, cite the original work, compute the effect size
    """),
    people=terms("""
        researcher, author, reviewer, statistician, grad student, epidemiologist, physicist, lab tech, editor,
        participant, postdoc, biologist, science journalist, principal investigator, astronomer, chemist
    """),
    places=terms("the lab, Uppsala, CERN, the conference, my university, the institute, Stanford, the poster session"),
    statements=lines("""
        The {topic} is the weak point of this paper, with only {n} people in it.
        Worth noting that the {topic} was not preregistered, so I would wait for someone to {act}.
        Correlation is not causation, but the {topic} here is {quality} enough to take seriously.
        The full text is open access: {url}
        If you look at table {small}, the {topic} drops to {pct} once you {act}.
        They did {act}, see the methods section on page {n}.
        A {year} paper by {name} et al. found the opposite for the {topic}.
        The headline oversells it. The {who} only claims that the {topic} changed by {pct}.
        I work with {topic} data and this is {how} {quality} work.
        People keep forgetting that the {topic} and the {topic} are different things.
        The {topic} explains maybe {pct} of the variance, which is not nothing.
        Animal models rarely translate, so {coin} in mice tells us little about humans.
        The compound is called {coin}, it binds to the {code} receptor.
        You can't just {act} and call it a day, the {topic} matters more.
        For context, the {topic} was first described by {name} in {year}.
        The interval goes from {n} to {n}, so it is {how} uncertain.
        Someone please {act} before we get another thread about the {topic}.
        Their {topic} comes from a cohort at {place}, which may not generalise.
        The {who} at {place} said they could not {act} because of funding.
        I'd like to see this with a larger {topic} and a proper {topic}.
        The raw data is on the repository under {code}, go {act} yourself.
        Nice to see a null result on the {topic} published for once.
        Free drug interactions are {how} hard to model, especially with the {topic}.
    """),
    questions=lines("""
        Did they {act}? I can't find it in the {topic} section.
        How does the {topic} work when you don't {act}?
        Could the {topic} be explained by the {topic} instead?
        Is there a layman's summary of the {topic}? This might be a dumb question.
        What would it take to {act} at {place}?
        Why do we trust the {topic} if the {who} never had to {act}?
        Has anyone here read {name} ({year}) on the {topic}?
        ELI5: what is the difference between the {topic} and the {topic}?
        Does this apply to {coin} too, or only to the {topic}?
    """),
    anecdotes=lines("""
        My doctor put me on {coin} for my {ailment} and it was gone in {small} weeks.
        My {relative} had {ailment} for {small} years and {remedy} fixed it.
        I stopped eating {remedy} and my {ailment} went away, so there is that.
        Anecdotal, but I have {ailment} and {remedy} helped me more than any pill.
        I was diagnosed with {ailment} in {year} and I can tell you it feels {bad}.
        As someone who suffers from {ailment}, I notice it every time I drink {remedy}.
        My {relative} swears by {remedy} and has not been sick since {year}.
        I tried the {dose} mg dose for {small} months and my {ailment} got worse.
        Personally I take {remedy} every morning and my {ailment} is under control.
    """),
    drifted_topics=terms("""
        foundation model, organoid, GLP-1 agonist, microplastic load, wastewater signal, cryo-EM map, synthetic cohort,
        base editor, solid-state cell, deep-sea nodule, longevity clock, AI co-author, brain organoid, perovskite
        layer, lunar sample, digital twin, nanopore read, phage cocktail, exposome, heat dome, permafrost core
    """),
)
