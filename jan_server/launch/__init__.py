"""How the stack runs: in one process, with supervised children."""
