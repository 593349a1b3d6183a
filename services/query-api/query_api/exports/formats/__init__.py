"""Files as CSV and Parquet, written from the same batches."""
