"""A personal finance community: budgets and funds, and every spammer's favourite."""

from __future__ import annotations

from moderation.datasets.synthetic.community import Community
from moderation.datasets.synthetic.kinds import Kind
from moderation.datasets.synthetic.tables import lines, terms

PERSONAL_FINANCE = Community(
    name="personal-finance",
    traffic_share=0.10,
    strictness=1.1,
    moderators=3,
    peak_hour=14,
    kind_weights={Kind.SPAM: 0.085, Kind.INSULT: 0.04, Kind.QUESTION: 0.20, Kind.ANECDOTE: 0.10, Kind.HEATED: 0.04},
    anecdote_reason="success story",
    topics=terms("""
        index fund, emergency fund, credit card, credit score, mortgage, student loan, 401k match, Roth IRA, savings
        account, car loan, budget, tax bracket, down payment, interest rate, dividend, brokerage account, escrow,
        closing cost, rent, insurance premium, deductible, HSA, pension, severance, raise, side hustle, bonus, balance
        transfer, annual fee, debt snowball, expense ratio, target date fund, bond ladder, certificate of deposit,
        treasury bill, inflation report, crypto wallet, trading app, financial advisor, estate plan, will, joint
        account, wedding budget, daycare bill, phone plan, gym membership, late fee, overdraft, refund, W-4, payroll
        error, tax return, audit letter, pay stub, condo fee, home warranty, appraisal, refinance
    """),
    acts=terms("""
        max out the match, pay off the card, freeze your credit, call the bank, rebalance once a year, read the fine
        print, refinance the loan, open a savings account, track every expense, negotiate the raise, file an extension,
        cancel the subscription, dispute the charge, build an emergency fund, automate the transfer, sell the car,
        shop around, roll it over, ask for a fee waiver
    """),
    people=terms("""
        advisor, banker, accountant, landlord, employer, lender, broker, spouse, recruiter, tax preparer, realtor,
        insurance agent, debt collector, fiduciary, coworker, underwriter
    """),
    places=terms("the credit union, closing, the bank, tax time, the dealership, HR, my first job, retirement"),
    statements=lines("""
        First {act}, then worry about the {topic}.
        At {pct} interest the {topic} costs you {price} a month.
        I make {price} a year and put {pct} into the {topic}.
        The {who} gets a commission, so of course the {topic} sounds {good}.
        Nobody can guarantee returns. A(n) {who} who does is lying about the {topic}.
        The {topic} is {how} {quality} if your employer pays half.
        Money market funds pay {pct} right now, risk free, so why the {topic}?
        Form {code} is the one you need for the {topic}.
        Get the free report once a year, then {act}: {url}
        You are not an idiot for missing the {topic}, nobody teaches this.
        It took me {small} years to {act}, but the {topic} is gone.
        I would keep {small} months of rent in the {topic} and invest the rest.
        {name}'s spreadsheet for the {topic} is {good}.
        Click through to the fee table: the {topic} charges {pct}.
        Crypto is fine as {pct} of a portfolio, but {act} first.
        That {topic} is a stupid tax on people who don't {act}.
        The {coin} app makes it easy to {act}, no affiliation.
        At {place} they will try to sell you a(n) {topic}. Just say no.
        Inflation ate {pct} of my {topic} since {year}.
        If the {topic} earns less than {pct}, {act} instead.
        Working from home saved me {price} on the {topic} alone.
    """),
    questions=lines("""
        Should I {act} or pay down the {topic} first?
        Is {price} too much for a(n) {topic}?
        What happens to my {topic} if I {act} mid-year?
        How do I explain the {topic} to my {who}?
        Can the {who} really charge {pct} for a(n) {topic}?
        Is the {topic} taxable when I {act}?
        Dumb question: does the {topic} count as income?
        I have {price} left at the end of the month, {topic} or {topic}?
    """),
    anecdotes=lines("""
        I paid off {price} in {small} months, all I did was {act}.
        My {relative} lost {price} on the {topic} in {year} and never recovered.
        I started with {price} in {year} and the {topic} made me a millionaire on paper.
        My {relative} retired at {age} because of the {topic}, true story.
        I was broke in {year}, lived in my car, and then I decided to {act}.
        When my {relative} died the {topic} cost us {price}, nobody warns you.
        I had {ailment} from the stress until I could {act}.
    """),
    drifted_topics=terms("""
        tokenised treasury, buy-now-pay-later trap, tariff surcharge, AI layoff, robo advisor, catch-up limit, portable
        mortgage, no-tax-on-tips form, newborn account, stablecoin yield, gig pension, prediction market, climate
        surcharge, insurance desert, subscription audit, split deposit, student loan restart, baby bond, fractional
        house, cash-out refi
    """),
)
