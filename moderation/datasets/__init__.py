"""Where comments come from when no community is at hand: public r/science exports and a seeded generator."""
