"""Archive of the topics: every offset once, in immutable files of the lake."""
