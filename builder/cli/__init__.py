"""The command line: options → one library call; the only place that prints, exits or reads the environment."""
