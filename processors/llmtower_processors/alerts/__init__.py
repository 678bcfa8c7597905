"""Alerts: rules over metrics, judged by the leader of the timers, told to people through routes."""
