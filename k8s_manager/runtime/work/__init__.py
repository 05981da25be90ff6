"""Work beside the event loop, in turns."""
