"""Child processes: started on a leash, supervised, stopped for certain."""
