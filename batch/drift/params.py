"""Default parameters of the drift check; the command line imports them at start, so this module imports nothing."""

COOL_DOWN_DAYS = (
    0.8  # shorter than the time from a nightly retraining to the next check, so that it does not suppress that check
)
