"""Generated pages of the documentation, and the evidence for its figures."""
