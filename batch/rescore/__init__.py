"""What another model version would have said of comments that were decided; nothing that serves is touched."""
