"""What every service shares at its edge."""
