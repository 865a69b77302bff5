"""What travels: the bodies of requests and answers."""
