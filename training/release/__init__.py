"""From a run to the files that are served, checked against what they were made from."""
