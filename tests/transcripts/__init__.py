"""Stories told to the controller, each with all that followed: commands, `----`, what it did."""
