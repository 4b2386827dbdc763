"""Charts, and the program that installs them."""
