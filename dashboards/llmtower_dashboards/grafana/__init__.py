"""Grafana's side of the panels: dashboards, provisioning files and alert rules made from the one definition, and pushing them."""
