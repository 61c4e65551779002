"""`python -m examples.tutorial`: the tutorial by the newest generation of the client."""

from examples.tutorial import v15

if __name__ == "__main__":
    v15.main()
