"""Archive of the topics in immutable files of the lake, each offset once."""
