"""A thin door to the package: `python cli.py train rules/pool.rule`."""

import sys

if __name__ == "__main__":
    try:
        from ruledsl.cli import main

        main()
    except (
        KeyboardInterrupt
    ):  # pressed while Python was loading the package: there is nothing to go on with yet
        sys.exit(130)
