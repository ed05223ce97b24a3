"""Will we overrun? Budgets, overrun probabilities, exhaustion, burn. Pure."""
