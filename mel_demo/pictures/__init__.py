"""What people look at: overlays, figures, crowds, the report. Pure: arrays and numbers in."""
