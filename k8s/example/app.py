# ruff: noqa: INP001 - one file on its own, mounted into the container
"""The smallest application that shows a market cap: `/<mint>` asks the sidecar in the same pod."""

import json
import os
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.error import HTTPError, URLError
from urllib.request import urlopen

SIDECAR = os.environ.get("MC_SIDECAR_URL", "http://127.0.0.1:8765")
SOL = "So11111111111111111111111111111111111111112"


class Page(BaseHTTPRequestHandler):
    """One line of text per token."""

    def do_GET(self) -> None:
        """Answer the market cap of the mint in the path, of SOL without one."""
        if self.path == "/healthz":
            self.answer(200, "ok")
            return
        mint = self.path.strip("/") or SOL
        try:
            with urlopen(f"{SIDECAR}/mc/{mint}", timeout=3) as response:  # noqa: S310 - always the sidecar
                token = json.load(response)
        except HTTPError as refusal:
            self.answer(refusal.code, json.load(refusal)["detail"])
        except URLError as failure:
            self.answer(503, f"the sidecar does not answer: {failure.reason}")
        else:
            self.answer(200, f"{token['symbol']} {token['market_cap_usd']:,.0f} USD, {token['age_seconds']} s old")

    def answer(self, status: int, text: str) -> None:
        """Send one line of text."""
        self.send_response(status)
        self.send_header("Content-Type", "text/plain; charset=utf-8")
        self.end_headers()
        self.wfile.write(f"{text}\n".encode())


if __name__ == "__main__":
    ThreadingHTTPServer(("", int(os.environ.get("PORT", "8080"))), Page).serve_forever()
