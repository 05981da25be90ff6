"""The collector: follows the logs of gateway pods and counts their requests. A process of its own."""
