"""What was measured, as pages, figures and README's table."""
