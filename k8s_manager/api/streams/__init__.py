"""What goes on being sent: streams of events, and what wakes open pages."""
