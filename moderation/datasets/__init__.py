"""Data sets of labelled comments: r/science exports, recorded histories, and a seeded generator."""
