"""The student in a browser, offline: a static page, and the Python that lays it out."""
