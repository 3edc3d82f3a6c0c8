"""Other versions of runtimes, each in its own Python environment, since apps ship older versions."""
