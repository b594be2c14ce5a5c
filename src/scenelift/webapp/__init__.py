"""The web app: a server that queues jobs, and a worker that runs them. See `docs/web.md`."""
