"""`python -m seewhy` is the command line (also for `torchrun -m seewhy`)."""

from seewhy.cli.main import main

if __name__ == "__main__":
    main()
