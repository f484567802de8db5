"""What a reader sees of a run: pages, tables and files, all made from the record alone."""
