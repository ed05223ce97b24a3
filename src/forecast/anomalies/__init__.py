"""Was that strange? Detectors, their calibration to a declared false-alarm rate, incidents and root causes. Pure."""
