"""What a study is: search space, specification, trial, lifecycle, ranking. Pure values, no I/O."""
