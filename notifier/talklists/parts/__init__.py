"""What the forms of talk lists are read with: lines, labels, dates, names, cells, rows."""
