"""What a network is worth: scores, metrics, intervals, evidence maps. Writes no release."""
