"""Rebuild the shipped data sets from the packages that they come from."""
