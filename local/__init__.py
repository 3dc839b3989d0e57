"""Local stack without Docker, and what runs on it: demo, benchmarks, chaos tests, generated documentation."""
