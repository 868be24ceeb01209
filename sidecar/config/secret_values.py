"""Which texts in the settings are secret."""

from urllib.parse import urlsplit

from sidecar.config.redaction import MIN_SECRET_CHARS, secret_parts
from sidecar.config.settings import Settings


def secrets_of(settings: Settings) -> tuple[str, ...]:
    """Return every literal text that must not be shown, for a `Redactor`. The default base URLs hold none."""
    secrets = set(settings.environment_values)
    defaults = _urls(Settings())
    for key, url in _urls(settings).items():
        if url != defaults[key]:
            secrets |= secret_parts(url or "")
        if key in settings.from_environment:
            secrets |= {part for part in (urlsplit(url or "").hostname, urlsplit(url or "").netloc) if part}
    for _, source in settings.sources.keyed():
        secrets |= {text for text in (source.api_key, source.api_key_file) if text}
    return tuple(sorted(text for text in secrets if len(text) >= MIN_SECRET_CHARS))


def _urls(settings: Settings) -> dict[str, str | None]:
    """Return by dotted key the URLs of which all but the origin is secret."""
    base_urls = {f"sources.{name}.base_url": source.base_url for name, source in settings.sources.items()}
    return {**base_urls, "fleet.redis_url": settings.fleet.redis_url}
