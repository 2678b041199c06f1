"""The release on the Hub: model repositories and the Space."""
