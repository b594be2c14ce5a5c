"""`python -m scenelift` is the `scenelift` command."""

from scenelift.cli import main

if __name__ == "__main__":
    main()
