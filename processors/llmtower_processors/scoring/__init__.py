"""What scoring processors share: a call's texts in, its scores out, and the rows of `call_scores` they become."""
