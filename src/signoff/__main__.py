"""`python -m signoff`: the command line."""

from signoff.faces.cli import main

if __name__ == "__main__":
    main()
