"""How good are we? Metrics, rolling-origin backtest, reliability. Pure; a forecaster comes in as an argument."""
