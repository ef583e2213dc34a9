"""What arrives when: the shipped data sets, their reader and the stages that they arrive in."""
