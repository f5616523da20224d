"""A small web shop: a Flask application, a background worker, an asyncio part, and one bug.

It knows nothing of the agent: it is the application of somebody who never heard of it. Start it as
any service is started::

    opentelemetry-instrument python -m shop

    POST /checkout {"customer": "ada", "items": {"teapot": 1}}
    GET  /orders/<number>
    GET  /stock
    GET  /ready
"""
