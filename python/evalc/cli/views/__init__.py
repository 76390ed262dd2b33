"""What commands show: tables, lines and bars."""
