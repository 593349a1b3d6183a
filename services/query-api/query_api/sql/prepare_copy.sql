-- Dates as ISO 8601, whatever the server prefers, and room to sort a month of a large organization without files.
SELECT set_config('datestyle', 'ISO', true), set_config('work_mem', '64MB', true)
