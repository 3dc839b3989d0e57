"""The synthetic communities, one module each; all contents are fictional."""

from moderation.datasets.synthetic.communities.cooking import COOKING
from moderation.datasets.synthetic.communities.cycling import CYCLING
from moderation.datasets.synthetic.communities.gaming import GAMING
from moderation.datasets.synthetic.communities.local_news import LOCAL_NEWS
from moderation.datasets.synthetic.communities.personal_finance import PERSONAL_FINANCE
from moderation.datasets.synthetic.communities.science import SCIENCE

COMMUNITIES = (GAMING, SCIENCE, LOCAL_NEWS, COOKING, PERSONAL_FINANCE, CYCLING)

__all__ = ["COMMUNITIES"]
