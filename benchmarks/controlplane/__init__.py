"""The manager itself: passes, writes, reaction, the REST API."""
