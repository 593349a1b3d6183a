"""What is sent, and what an answer means. Pure: `Client` and `AsyncClient` do the sending and the waiting."""
