"""Parts of the codec: decimals, and pointers to what is invalid."""
