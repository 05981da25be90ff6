"""Annotations of Models by which releases outlive their statuses."""
