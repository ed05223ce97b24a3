"""What did we spend? FOCUS columns, dimensions, scopes, periods, panels and the hierarchy. Pure."""
