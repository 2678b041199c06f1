"""Training: reproduces the teacher and the student from HAM10000. Never needed to serve."""
