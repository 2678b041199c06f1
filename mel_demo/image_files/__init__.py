"""File formats of uploads: what a file declares, what decoding it would cost, what is broken."""
