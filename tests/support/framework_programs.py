"""Applications on frameworks, as people write them; lines for probes carry ``# TAG: name``."""

from __future__ import annotations

FLASK = {
    "app.py": """
        import dataclasses, decimal, sys
        from flask import Flask, jsonify

        app = Flask(__name__)

        @dataclasses.dataclass
        class Item:
            sku: str
            price: decimal.Decimal

        class Basket:
            def __init__(self, owner):
                self.owner = owner
                self.items = []
                self.api_key = "do not tell"

            def add(self, item):
                self.items.append(item)
                return len(self.items)  # TAG: added

            def __repr__(self):
                raise RuntimeError("nobody may call this")

            total = property(__repr__)

        baskets = {}

        @app.route("/basket/<owner>/<sku>")
        def fill(owner, sku):
            basket = baskets.setdefault(owner, Basket(owner))
            count = basket.add(Item(sku, decimal.Decimal("9.50")))
            return jsonify(owner=owner, count=count)  # TAG: filled

        if __name__ == "__main__":
            app.run(port=int(sys.argv[1]))
    """
}

DJANGO = {
    "manage.py": """
        import sys
        if sys.argv[1] == "runserver":
            import django
            django.setup()
            from django.db import connection
            from polls.models import Choice
            with connection.schema_editor() as editor:
                editor.create_model(Choice)
        from django.core.management import execute_from_command_line
        execute_from_command_line(sys.argv)
    """,
    "config.py": """
        SECRET_KEY = "not so secret"
        DEBUG = True
        ALLOWED_HOSTS = ["*"]
        ROOT_URLCONF = "urls"
        INSTALLED_APPS = ["polls"]
        MIDDLEWARE = ["django.middleware.common.CommonMiddleware"]
        DATABASES = {"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": "polls.sqlite"}}
        DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
        USE_TZ = True
    """,
    "urls.py": """
        from django.urls import path
        from polls import views
        urlpatterns = [path("vote/<slug:choice>", views.vote), path("later/<slug:choice>", views.later)]
    """,
    "polls/__init__.py": "",
    "polls/models.py": """
        from django.db import models

        class Choice(models.Model):
            name = models.CharField(max_length=50)
            votes = models.IntegerField(default=0)

            def __str__(self):
                raise RuntimeError("nobody may call this")
    """,
    "polls/views.py": """
        import asyncio
        from django.http import JsonResponse
        from .models import Choice

        def vote(request, choice):
            row, _ = Choice.objects.get_or_create(name=choice)
            row.votes += 1
            row.save()
            others = Choice.objects.exclude(name=choice)
            return JsonResponse({"votes": row.votes})  # TAG: voted

        async def later(request, choice):
            await asyncio.sleep(0)
            return JsonResponse({"choice": choice})  # TAG: awaited
    """,
}

FASTAPI = {
    "main.py": """
        import asyncio
        from fastapi import Depends, FastAPI

        app = FastAPI()

        class Store:
            def __init__(self):
                self.all_here = asyncio.Event()
                self.waiting = 0

            async def meet(self):
                self.waiting += 1
                if self.waiting == 3:
                    self.all_here.set()
                await self.all_here.wait()

        store = None

        async def the_store() -> Store:
            global store
            store = store or Store()
            return store

        @app.get("/ready")
        def ready():
            return {}

        @app.get("/meet/{name}")
        async def meet(name: str, place: Store = Depends(the_store)):
            before = name.upper()
            await place.meet()
            return {"name": before}  # TAG: met

        @app.get("/half/{n}")
        def half(n: int):
            result = n // 2
            return {"half": result}  # TAG: halved
    """
}
