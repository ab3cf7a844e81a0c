"""Actors over the real wire: servers in this process, or in processes of their own."""
