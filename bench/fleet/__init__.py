"""What sharing one refresh costs and saves, with a real redis-server and the simulated market."""
