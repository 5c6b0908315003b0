"""Pages for people: rendered here, readable without scripts, live with them."""
