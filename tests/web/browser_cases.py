"""A server of the page as a process, and browsers that say what they asked of whom."""

import os
import shutil
import signal
import subprocess
import sys
import time
from contextlib import contextmanager, suppress
from pathlib import Path

SECONDS = 60
"""What a page may take on a busy machine."""


def browser_program():
    """Return the browser of this machine, None where there is none; `SEEWHY_BROWSER` names another."""
    named = os.environ.get("SEEWHY_BROWSER")
    names = ("chromium", "chromium-browser", "google-chrome", "chrome")
    return named or next((found for name in names if (found := shutil.which(name))), None)


class Server:
    """`seewhy web`, started as a person starts it."""

    def __init__(self, home, *arguments):
        command = [sys.executable, "-m", "seewhy", "web", "runs", "--data", "data", *arguments]
        self.process = subprocess.Popen(command, cwd=home, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        self.address = self.process.stdout.readline().strip()
        assert self.address.startswith("http://127.0.0.1:"), self.process.stderr.read()
        self.base = self.address.partition("/?")[0]

    def kill(self):
        """End it as a crash does."""
        self.process.kill()
        self.process.wait()

    def close(self):
        """End it as Ctrl-C does; returns what it has complained about."""
        self.process.send_signal(signal.SIGINT)
        try:
            self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.kill()
        with self.process.stderr as stderr, self.process.stdout:
            return stderr.read()


@contextmanager
def page_of(browser, server, **options):
    """Yield a page that knows the server, and check at its end that it asked nothing of anybody else and complained of nothing."""
    context = browser.new_context(**options)
    page = context.new_page()
    page.set_default_timeout(1000 * SECONDS)
    elsewhere, complaints = [], []
    own = (f"{server.base}/", "data:", f"blob:{server.base}/")
    context.on("request", lambda request: None if request.url.startswith(own) else elsewhere.append(request.url))
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on("console", lambda message: complaints.append(message.text) if message.type == "error" else None)
    page.complaints = complaints
    try:
        page.goto(server.address)
        yield page
        assert elsewhere == []
        assert complaints == []
    finally:
        context.close()


def until(answers, seconds=SECONDS):
    """Wait until a function answers, and return its answer."""
    end = time.monotonic() + seconds
    while not (found := answers()):
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.1)
    return found


def processes_of(folder):
    """Return the processes whose command line names a folder."""
    found = []
    for entry in Path("/proc").iterdir():
        with suppress(OSError):
            if entry.name.isdecimal() and str(folder).encode() in (entry / "cmdline").read_bytes():
                found.append(int(entry.name))
    return found


TRANSFER = """([kind, bytes]) => {
    const data = new DataTransfer();
    data.items.add(new File([new Uint8Array(bytes)], kind + ".png", { type: "image/png" }));
    const pasted = () => new ClipboardEvent(kind, { clipboardData: data, bubbles: true });
    const dropped = () => new DragEvent(kind, { dataTransfer: data, bubbles: true, cancelable: true });
    document.body.dispatchEvent(kind === "paste" ? pasted() : dropped());
}"""
"""Pastes or drops a file."""

TRACKS = """() => {
    const before = navigator.mediaDevices.getUserMedia.bind(navigator.mediaDevices);
    window.tracks = [];
    navigator.mediaDevices.getUserMedia = async (wanted) => {
        const stream = await before(wanted);
        window.tracks.push(...stream.getTracks());
        return stream;
    };
}"""
"""Keeps the tracks of every camera that is opened."""

LIVE = "() => window.tracks.map((track) => track.readyState)"
"""Returns how each of them is: "live" or "ended"."""


def files(*images):
    """Return files as a browser uploads them: (name, bytes) each."""
    return [{"name": name, "mimeType": "image/png", "buffer": data} for name, data in images]
