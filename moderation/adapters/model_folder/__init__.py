"""Model folders with verified files."""
