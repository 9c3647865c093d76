"""Runs trials through the client only: agent, processes, devices, executors, runners."""
