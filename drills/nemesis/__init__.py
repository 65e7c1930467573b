"""What runs inside the nemesis container: faults of networks and processes, by the hands of root on the host."""
