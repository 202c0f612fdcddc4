"""One module a verb of the command line: each takes its arguments and gives back an `Answer`."""
