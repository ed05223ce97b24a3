"""The shipped prior: what generated histories of unlike processes teach about short ones. Pure, but for its own package data."""
