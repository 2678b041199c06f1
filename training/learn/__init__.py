"""From images to a finished run folder: networks, losses, views, the one training loop."""
