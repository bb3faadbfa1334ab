"""`python -m builder` is the command `pybuild`."""

from builder.cli.main import process

if __name__ == "__main__":
    process()
