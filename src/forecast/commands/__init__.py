"""The commands of `forecast`, one module per noun. Nothing heavy is imported before a command runs."""
