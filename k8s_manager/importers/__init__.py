"""Proposes documents for objects that exist already, and lists what documents cannot express. Pure."""
