"""Every code in words. One catalogue per language."""
