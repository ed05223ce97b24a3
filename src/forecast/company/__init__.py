"""A company to learn from and to judge by: seeded FOCUS rows whose laws, incidents and plans are known."""
