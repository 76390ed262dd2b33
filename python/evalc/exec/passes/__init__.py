"""Forward passes over a layout, and what they leave behind."""
