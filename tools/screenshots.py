"""Take the pictures of the operator's page that the documentation shows: `make screenshots`.

A sidecar on the simulated market, an application that asks for its tokens, ten minutes of a clock that is moved.
"""

import asyncio
import random
from contextlib import suppress
from pathlib import Path
from typing import Final

from playwright.async_api import Browser

from sidecar.errors import McSidecarError
from sidecar.models import Mint
from tests.system.page.browser import chromium, looking_at
from tests.web.serving import JUP, Site, serving

FOLDER: Final = Path(__file__).parent.parent / "docs" / "img"
SIZE: Final = {"width": 1360, "height": 860}
STEP_SECONDS: Final = 5.0
STEPS: Final = 122
OUTAGE_STEPS: Final = 34
MOST_LOOKUPS: Final = 40
"""In one step."""


async def use(site: Site, steps: int) -> None:
    """Look tokens up as an application does: a few of them most of the time, now and then a new one."""
    dice, service = random.Random(7), site.sidecar.service
    others = [Mint(token.mint) for token in site.rig.market.tokens.values()][::5]
    for step in range(steps):
        mints = service.engine.tracker.by_demand()
        for _ in range(dice.randrange(MOST_LOOKUPS // 2, MOST_LOOKUPS)):
            service.lookups.find(mints[min(int(dice.expovariate(1 / 12)), len(mints) - 1)])
        if step % 40 == 0:
            with suppress(McSidecarError):
                await site.rig.finish(service.get(dice.choice(others)), STEP_SECONDS)
        await site.rig.run_for(STEP_SECONDS)


async def shoot(site: Site, browser: Browser, name: str, scheme: str, *, opened: bool = False) -> None:
    """Take a picture of the page, with the explanation of a token if it is to be open."""
    async with looking_at(site, browser, color_scheme=scheme, viewport=SIZE) as seen:
        if opened:
            await seen.page.click(f'tr[data-mint="{JUP}"] .open')
            await seen.page.wait_for_selector("#dialog[open] svg[aria-label^='Prices']")
        await seen.page.screenshot(path=FOLDER / f"{name}.png", animations="disabled")


async def main() -> None:
    """Take all of them."""
    FOLDER.mkdir(exist_ok=True)
    async with serving(trending=120) as site, chromium() as browser:
        await use(site, STEPS)
        await shoot(site, browser, "page-light", "light")
        await shoot(site, browser, "page-dark", "dark")
        await shoot(site, browser, "page-explained", "light", opened=True)
        site.switch_off("jupiter", "dexscreener")
        await use(site, OUTAGE_STEPS)
        await shoot(site, browser, "page-outage", "light")


if __name__ == "__main__":
    asyncio.run(main())
