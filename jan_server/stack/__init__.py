"""What runs: the catalogue of services, profiles and their start order."""
