"""What the watch does unless somebody says otherwise. Light: the command line reads it whenever it starts."""

COOL_DOWN_DAYS = 0.8  # less than from one nightly retraining to the next watch: that one must not hold it back
