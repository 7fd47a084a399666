"""What stands in deploy/ and .github/ is what its platform takes, and does what the program needs."""
