"""The shell: files, tables, databases and senders. Pure code comes in, nothing here is imported by it."""
