"""The bootstrap model: an untrained version that decides until the first retraining replaces it."""
