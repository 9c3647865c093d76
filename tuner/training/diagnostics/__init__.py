"""What a training looks like from within: gradients, updates, noise, units, memory, time."""
