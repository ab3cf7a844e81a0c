"""The worker's process: carries out what it is told on one host, and says what it sees."""
