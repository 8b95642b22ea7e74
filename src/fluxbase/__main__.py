"""``python -m fluxbase``."""

from fluxbase.cli.main import main

main()
