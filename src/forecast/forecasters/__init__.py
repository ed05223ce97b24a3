"""What will we spend? Forecasters under one contract: `fit`, then `simulate` joint sample paths. Pure."""
