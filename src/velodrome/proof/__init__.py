"""Finding causes, trying changes, and keeping what is proven."""
