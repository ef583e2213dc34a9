"""What runs next, and what is refused before anything runs.

Nothing is imported here: `start` reads data and needs torch; to look at a run or to stop it must not wait for that.
"""
