"""What all routes share: problems, fields, entity tags, pages."""
