"""The services of the platform; they never import one another."""
