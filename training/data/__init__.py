"""Images and labels: HAM10000, ISIC, splits, decoded frames. Knows no network."""
