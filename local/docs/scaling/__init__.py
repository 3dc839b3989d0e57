"""How many of everything: sizes and costs for a rate of comments, from docs/evidence alone."""
