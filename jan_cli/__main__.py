"""`python -m jan_cli` is `jan`: how the server is started when the script is not on PATH."""

from jan_cli.main import main

if __name__ == "__main__":
    main()
