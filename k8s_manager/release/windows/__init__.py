"""Windows: when a release may begin and go on, by the load of weeks, by cron, and never in a freeze."""
