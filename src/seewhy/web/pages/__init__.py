"""The pages, a module each: routes that return HTML, and beside them the routes under /api that return JSON."""

from seewhy.web.pages import check, classify, generate, labels, new, run, runs, study

ROUTES = [
    *runs.ROUTES,
    *run.ROUTES,
    *classify.ROUTES,
    *generate.ROUTES,
    *new.ROUTES,
    *study.ROUTES,
    *check.ROUTES,
    *labels.ROUTES,
]
