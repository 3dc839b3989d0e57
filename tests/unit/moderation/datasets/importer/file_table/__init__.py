"""A table of files: what each contains, what is stated about it, and what the importer understands or answers."""
