"""The algorithms, one linear file each, on a few shared parts."""
