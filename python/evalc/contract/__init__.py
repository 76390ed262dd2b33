"""What is asked, and how answers come back: the contract of whatever answers packs."""
