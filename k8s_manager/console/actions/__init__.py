"""Actions with a form of their own, and what a form shows when the API has refused it."""
