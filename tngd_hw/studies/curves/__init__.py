"""Training runs over seeds, kept cell by cell, and their figures: what the studies of training share."""
