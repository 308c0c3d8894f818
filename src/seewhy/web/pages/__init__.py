"""The pages, a module each: routes that return HTML, and beside them the routes under /api that return JSON."""

from seewhy.web.pages import classify, generate, new, run, runs

ROUTES = [*runs.ROUTES, *run.ROUTES, *classify.ROUTES, *generate.ROUTES, *new.ROUTES]
