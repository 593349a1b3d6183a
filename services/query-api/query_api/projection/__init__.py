"""When credits run out: the projection of the current credit period, and the glide path to its end."""
