"""``python -m clearport``."""

from clearport.cli.app import main

main()
