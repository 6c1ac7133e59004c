"""What compare and report share: reading results files and sample logs, lines of the table, paired tests."""
