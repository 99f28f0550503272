"""A Wagtail site with the guide's app: `site.py PORT`, in a folder with the guide's files. POST is what an editor does."""

import json
import runpy
import sys
from pathlib import Path
from wsgiref.simple_server import make_server

import django
from django.conf import settings
from django.core.management import call_command
from django.http import JsonResponse
from django.urls import include, path

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE))
PAGE = "rendered {{ rendered }}: {{ page.title }}:{% for child in page.get_children.live %} {{ child.title }}{% endfor %}"


def configure():
    shown = [runpy.run_path(HERE / "settings" / name) for name in ["purging.py", "frontend_cache.py"]]
    settings.configure(
        SECRET_KEY="secret",
        ALLOWED_HOSTS=["*"],
        ROOT_URLCONF=__name__,
        DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": HERE / "site.sqlite"}},
        DEFAULT_AUTO_FIELD="django.db.models.BigAutoField",
        INSTALLED_APPS=[
            "purging", "home", "wagtail", "wagtail.search", "taggit",
            "django.contrib.auth", "django.contrib.contenttypes",
        ],
        # The tables of Wagtail itself are made without their history, for the sake of time.
        MIGRATION_MODULES={name: None for name in ["wagtailcore", "wagtailsearch", "taggit", "auth", "contenttypes"]},
        MIDDLEWARE=["purging.middleware.surrogate_keys"],
        TEMPLATES=[{
            "BACKEND": "django.template.backends.django.DjangoTemplates",
            "OPTIONS": {
                "loaders": [("django.template.loaders.locmem.Loader", {"wagtailcore/page.html": PAGE, "home/list_page.html": PAGE})],
                "context_processors": [f"{__name__}.count"],
            },
        }],
        STATIC_URL="/static/",
        WAGTAIL_SITE_NAME="site",
        WAGTAILADMIN_BASE_URL="http://www.example.com",
        **{name: value for names in shown for name, value in names.items() if name.isupper()},
    )
    django.setup()


rendered = 0


def count(request):
    global rendered
    rendered += 1
    return {"rendered": rendered}


def build():
    from django.contrib.contenttypes.models import ContentType
    from home.models import ListPage
    from wagtail.models import Locale, Page, Site

    call_command("makemigrations", "purging", "home", verbosity=0)
    call_command("migrate", run_syncdb=True, verbosity=0)
    Locale.objects.get_or_create(language_code="en")
    root = Page.add_root(title="Root", slug="root", content_type=ContentType.objects.get_for_model(Page))
    home = root.add_child(instance=ListPage(title="Home", slug="home"))
    Site.objects.create(hostname="www.example.com", port=80, root_page=home, is_default_site=True)
    for name in ["news", "archive"]:
        home.add_child(instance=ListPage(title=name, slug=name))


def act(action, wish):
    from django.db import transaction
    from home.models import ListPage
    from purging.models import Pending
    from wagtail.contrib.frontend_cache.utils import purge_url_from_cache
    from wagtail.models import Page

    # As Django runs the requests of an editor with ATOMIC_REQUESTS: a purge may go out only after it all.
    with transaction.atomic():
        page = Page.objects.filter(slug=wish.get("slug", "")).first()
        if action == "write":
            parent = ListPage.objects.get(slug=wish["below"])
            parent.add_child(instance=Page(title=wish["title"], slug=wish["slug"])).save_revision().publish()
        elif action == "draft":
            page.title = wish["title"]
            page.save_revision()
        elif action == "publish":
            page.title = wish["title"]
            page.slug = wish.get("new_slug", page.slug)
            page.save_revision().publish()
        elif action == "move":
            page.move(ListPage.objects.get(slug=wish["below"]), pos="last-child")
        elif action == "delete":
            page.delete()
        elif action == "purge_url":
            purge_url_from_cache(wish["url"])
    if action == "send_purges":
        call_command("send_purges")
    return {"waiting": Pending.objects.count()}


def control(request, action):
    return JsonResponse(act(action, json.loads(request.body)))


def cacheable(application):
    def wrapped(environ, start_response):
        def start(status, headers, *more):
            headers.append(("Cache-Control", "s-maxage=3600, max-age=0"))
            return start_response(status, headers, *more)

        return application(environ, start)

    return wrapped


if __name__ == "__main__":
    configure()
    build()
    from django.core.wsgi import get_wsgi_application

    urlpatterns = [path("control/<action>", control), path("", include("wagtail.urls"))]
    make_server("127.0.0.1", int(sys.argv[1]), cacheable(get_wsgi_application())).serve_forever()
