"""The auditor: reads every store from outside, as no service may, and writes none."""
