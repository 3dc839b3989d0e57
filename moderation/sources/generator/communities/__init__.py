"""The communities of the generated traffic, one module each; everything in them is made up."""

from moderation.sources.generator.communities.cooking import COOKING
from moderation.sources.generator.communities.cycling import CYCLING
from moderation.sources.generator.communities.gaming import GAMING
from moderation.sources.generator.communities.local_news import LOCAL_NEWS
from moderation.sources.generator.communities.personal_finance import PERSONAL_FINANCE
from moderation.sources.generator.communities.science import SCIENCE

COMMUNITIES = (GAMING, SCIENCE, LOCAL_NEWS, COOKING, PERSONAL_FINANCE, CYCLING)

__all__ = ["COMMUNITIES"]
