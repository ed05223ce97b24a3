"""How models are made: load panel, backtest, fit, calibrate, track, register, promote, write the snapshot."""
