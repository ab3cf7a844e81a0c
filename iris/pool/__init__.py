"""What runs in the tasks of a pool of workers; `iris.client.WorkerPool` is its user's end."""
