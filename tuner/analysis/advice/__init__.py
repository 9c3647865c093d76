"""What to do next: advice that follows from the trials of a study, each piece with its numbers."""
