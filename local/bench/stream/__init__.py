"""The speed layer beside what one would build otherwise: same broker, same preloaded topic, alternating rounds."""
