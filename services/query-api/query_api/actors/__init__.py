"""Actor, group and labels of single uses and runs, as the organization shows them."""
