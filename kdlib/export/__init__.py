"""What leaves the lab: a trained student as files that run anywhere.

Everything heavy is imported inside functions, so that a page or a command that offers an export begins at once.
"""
