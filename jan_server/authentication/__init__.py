"""Who is calling: tokens verified, principals signed between services."""
