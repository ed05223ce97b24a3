"""Whom do we tell, when? Incidents with an identity and a life, feedback on them, and the shapes that other programs read."""
