"""The watch on drift: whether a day's comments still look like those the production model was trained on."""
