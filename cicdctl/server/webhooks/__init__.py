"""Deliveries of forges: proved before anything in them is read, and then no more than a hint to look at git."""
