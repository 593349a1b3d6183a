"""What people may do: the state of the application, the policies of its routes, and the audit log."""
