"""Child processes: started, supervised and stopped. They end when their parent dies."""
