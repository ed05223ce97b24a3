"""What if we scale? Levers as data, plans, and their effect on leaves and days. Pure."""
