"""Generated pages of the documentation, and the evidence behind its figures."""
