"""The portal: folds the events of a sale into what its buyer sees, and asks reservation to settle what is paid for."""
