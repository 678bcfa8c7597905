"""The live page: the same panels as Grafana's, for a browser on this machine. Needs the extra `web`."""
