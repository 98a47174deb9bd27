"""A thin door to the package: `python cli.py train rules/pool.rule`."""

from ruledsl.cli import main

if __name__ == "__main__":
    main()
