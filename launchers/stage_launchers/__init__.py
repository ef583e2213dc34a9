"""Start the processes of a stage, and tell each process who it is. Imports neither torch nor dist_mcl."""
