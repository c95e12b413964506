"""One cell of a sweep: a linear solve, or a covariance, on a batch of chips, and the parts of its error."""
