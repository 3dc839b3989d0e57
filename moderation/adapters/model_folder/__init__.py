"""A model as a folder of verified files."""
