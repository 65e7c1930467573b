"""What tests stand on: real servers on free ports, and waiting without sleeping blindly."""
