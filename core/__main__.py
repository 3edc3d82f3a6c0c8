"""``python -m clearport``."""

from clearport.cli import main

main()
