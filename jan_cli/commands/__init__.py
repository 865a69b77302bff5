"""The commands of `jan`, each imported only when it is called."""
