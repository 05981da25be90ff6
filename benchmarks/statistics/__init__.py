"""What request statistics cost."""
