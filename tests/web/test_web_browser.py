"""The pages in a real browser: what a person does there, by hand and keyboard, and that nothing leaves the machine."""

import json
import shutil
from pathlib import Path

import pytest
from browser_cases import LIVE, TRACKS, TRANSFER, Server, browser_program, files, page_of, until
from web_cases import bomb, png

import seewhy

playwright = pytest.importorskip("playwright.sync_api", reason="no browser tests: playwright is not installed")

PROGRAM = browser_program()
pytestmark = pytest.mark.skipif(
    PROGRAM is None, reason="no browser tests: no chromium is installed, nor named by SEEWHY_BROWSER"
)


ARGUMENTS = ["--no-sandbox", "--disable-dev-shm-usage"]


@pytest.fixture(scope="module")
def launch():
    """Starts a browser, with further arguments."""
    with playwright.sync_playwright() as driver:
        yield lambda *more: driver.chromium.launch(executable_path=PROGRAM, args=[*ARGUMENTS, *more])


@pytest.fixture(scope="module")
def browser(launch):
    started = launch()
    yield started
    started.close()


@pytest.fixture(scope="module")
def place(home, tmp_path_factory):
    """A copy of the runs, which the tests may add to."""
    place = tmp_path_factory.mktemp("browser") / "home"
    shutil.copytree(home, place)
    (place / "data").mkdir(exist_ok=True)
    return place


@pytest.fixture(scope="module")
def server(place):
    server = Server(place)
    yield server
    assert server.close() == ""


def test_train_from_the_form_watch_stop_and_go_on(browser, server, place):
    with page_of(browser, server) as page:
        page.click("text=Start a run")
        page.fill("#source", "digits")
        page.fill("#out", "mine")
        page.select_option("#model", "mlp")
        page.fill("#search", "epochs")
        epochs = page.locator("#f-train-epochs")
        epochs.fill("many")
        page.wait_for_selector("#f-train-epochs-wrong:has-text('must be a number')")
        assert page.locator("#start").is_disabled()
        assert page.text_content("#command") == "seewhy train …"
        epochs.fill("3000")
        page.wait_for_selector("#start:enabled")
        assert page.text_content("#command") == "seewhy train digits --out runs/mine --model mlp --epochs 3000"
        page.click("#plan")
        page.wait_for_selector("#said-by-run:has-text('3,000')")
        page.click("#start")
        page.wait_for_url("**/run/0/mine")
        page.wait_for_selector(".tile:has-text('Images/s')")
        page.wait_for_selector(".tile:has-text('Time left')")
        page.wait_for_selector("#live .plot path[d*=L]", state="attached")
        page.click("#stop")
        page.wait_for_selector("#state:has-text('stopped')")
        events = (place / "runs/mine/events.jsonl").read_text().splitlines()
        assert json.loads(events[-1])["reason"] == "interrupted"
        page.click("#go-on")
        page.wait_for_selector("#state:has-text('training')")
        page.click("#stop")
        page.wait_for_selector("#state:has-text('stopped')")
    run = seewhy.Run(place / "runs/mine")
    assert 0 < run.checkpoints.load("last").step < 3000 * 7


def test_a_run_of_a_terminal_is_watched_until_its_end(browser, server, place):
    with page_of(browser, server) as page:
        out = place / "runs/terminal"
        seen = []

        def observer(event):
            if type(event).__name__ == "StepEnded" and event.step == 4:
                page.goto(f"{server.base}/run/0/terminal")
                seen.append(page.wait_for_selector(".tile:has-text('3 of 8')"))

        seewhy.train("digits", model="mlp", width=8, epochs=2.0, batch_size=400, out=out, observers=[observer])
        assert seen
        page.wait_for_selector("#state:has-text('ended')")
        page.wait_for_selector("text=Results")
        page.wait_for_selector("text=Nothing wrong was found")
        page.click("text=Report")
        page.wait_for_url("**/report/0/terminal")
        page.wait_for_function("() => document.title.includes('seewhy')")


def test_classify_by_choice_paste_and_drop(browser, server, place):
    run = seewhy.Run(place / "runs/mlp")
    with page_of(browser, server) as page:
        page.goto(f"{server.base}/classify/0/mlp")
        page.set_input_files("#files", files(("one.png", png(1))))
        known = run.predict(png(1))
        page.wait_for_selector(f".result .label:has-text('{known.label} {known.confidence:.1%}')")
        for kind, seed in (("paste", 2), ("drop", 3)):
            page.evaluate(TRANSFER, [kind, list(png(seed))])
            page.wait_for_selector(f".result:has-text('{kind}.png') .label:has-text('{run.predict(png(seed)).label} ')")
        page.locator(".result:has-text('one.png') .why").click()
        page.wait_for_selector(".because .strip img >> nth=3")
        assert page.locator(".because >> text=distance").count() == 6


def test_a_picture_of_the_camera_is_classified_and_the_camera_switched_off(launch, server):
    browser = launch("--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream")
    with page_of(browser, server) as page:
        page.goto(f"{server.base}/classify/0/mlp")
        page.evaluate(TRACKS)
        page.click("#camera")
        page.click("#shoot:enabled")
        page.wait_for_selector(".result:has-text('camera ') .probabilities li")
        assert page.locator(".result").count() == 1
        assert page.evaluate(LIVE) == ["ended"]
        assert page.locator("#viewfinder").is_hidden()
        page.click("#camera")
        page.wait_for_selector("#shoot:enabled")
        assert page.evaluate(LIVE) == ["ended", "live"]
        page.click("#close-camera")
        assert page.evaluate(LIVE) == ["ended", "ended"]
        page.click("#camera")
        page.wait_for_selector("#shoot:enabled")
        page.evaluate("() => dispatchEvent(new Event('pagehide'))")  # as when it is left
        assert page.evaluate(LIVE) == ["ended"] * 3
    browser.close()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--use-fake-device-for-media-stream", "--deny-permission-prompts"], "The camera is not allowed here: "),
        ([], "This machine has no camera."),
    ],
)
def test_a_camera_that_is_refused_or_missing_is_one_sentence(launch, server, arguments, said):
    browser = launch(*arguments)
    with page_of(browser, server) as page:
        page.goto(f"{server.base}/classify/0/mlp")
        page.click("#camera")
        page.wait_for_selector(f"#count:has-text('{said}')")
        assert page.locator("#viewfinder").is_hidden()
        assert page.locator("#camera").is_enabled()
    browser.close()


def test_a_bomb_and_a_name_in_html(browser, server):
    name = "<img src=x onerror=document.title='hit'>.png"
    with page_of(browser, server) as page:
        page.goto(f"{server.base}/classify/0/mlp")
        page.set_input_files("#files", files(("bomb.png", bomb()), (name, png(1)), ("text.png", b"<script>1</script>")))
        page.wait_for_selector(".result.bad:has-text('bomb.png') .label:has-text('too many pixels')")
        page.wait_for_selector(".result.bad:has-text('text.png')")
        assert page.locator(".result:not(.bad) .file").text_content() == name
        assert "hit" not in page.title()
        page.wait_for_selector("#count:has-text('3 of 3 images, 2 not readable')")
        page.complaints[:] = [each for each in page.complaints if "422" not in each]  # the refusals, which browsers log


def test_a_thousand_files(browser, server, tmp_path):
    for number in range(1000):
        (tmp_path / f"{number:04d}.png").write_bytes(png(number))
    with page_of(browser, server) as page:
        page.goto(f"{server.base}/classify/0/mlp")
        page.set_input_files("#files", sorted(tmp_path.iterdir()))
        page.wait_for_selector("#count:has-text('1,000 of 1,000 images')", timeout=120_000)
        assert page.locator(".result .probabilities").count() == 1000


def test_generate_with_sliders(browser, server):
    with page_of(browser, server) as page:
        page.goto(f"{server.base}/generate/0/vae")
        image = page.wait_for_selector("#samples img:not([hidden])")
        before = image.get_attribute("src")
        page.locator("#temperature").focus()
        page.keyboard.press("Home")
        page.wait_for_function("(before) => document.querySelector('#samples img').src !== before", arg=before)
        page.wait_for_selector("#decoded[data-moves]")
        shown = "() => document.getElementById('decoded').toDataURL()"
        first = page.evaluate(shown)
        page.locator("#latents input").first.focus()
        page.keyboard.press("End")
        page.wait_for_function("(first) => document.getElementById('decoded').toDataURL() !== first", arg=first)
        page.click("#latent-reset")
        page.wait_for_function("(first) => document.getElementById('decoded').toDataURL() === first", arg=first)
        page.set_input_files("#start input", files(("a.png", png(1))))
        page.set_input_files("#end input", files(("b.png", png(2))))
        page.wait_for_selector("#between img:not([hidden])")
        page.set_input_files("#end input", files(("bomb.png", bomb())))
        page.wait_for_selector("#between figcaption:has-text('too many pixels')")
        assert page.locator("#between img").is_hidden()  # those of the images before
        page.complaints.clear()  # of the answer 422
        page.goto(f"{server.base}/generate/0/pixels")
        page.set_input_files("#given input", files(("a.png", png(1))))
        page.wait_for_selector("#completed img:not([hidden])")
        page.wait_for_selector("#completed:has-text('8 completions')")


def test_open_a_study(browser, server, place):
    options = {"seeds": 2, "tune": "none", "model": "mlp", "epochs": 2.0}
    study = seewhy.compare("digits", vary={"activation": ["relu", "tanh"]}, out=place / "runs/study", **options)
    last = Path(study.rows()[-1]["run"]) / "results.json"
    result = last.read_bytes()
    last.unlink()
    with page_of(browser, server) as page:
        page.click("a:text-is('study')")
        page.wait_for_selector("#h-verdict:text-is('Verdict so far')")
        page.wait_for_selector("text=1 of 4 runs are still to come")
        page.wait_for_selector("#figures [aria-label^='Means'] svg")
        names = page.locator("#variants .study tbody th")
        for order in (["relu", "tanh"], ["tanh", "relu"]):
            page.click("#variants thead button:text-is('Variant')")
            assert [name.strip() for name in names.all_text_contents()] == order
        last.write_bytes(result)
        page.wait_for_selector("#h-verdict:text-is('Verdict')")
        assert page.locator(".sentence").text_content() == str(study.verdict())
        page.wait_for_selector("#figures [aria-label^='Curves'] svg")
        page.wait_for_selector("#variants th[aria-sort='descending']")  # the reader's order outlasts what comes anew
        assert [name.strip() for name in names.all_text_contents()] == ["tanh", "relu"]
        for row in study.rows():
            page.wait_for_selector(f"tr:has-text('{row['variant']}') a:has-text('{row['value']:.2%}')")
        page.click("tr:has-text('tanh') a >> nth=0")
        page.wait_for_selector("#state:has-text('ended')")


def test_check_data(browser, server, place, shapes):
    shutil.copytree(shapes, place / "data/photos")
    shutil.copy(place / "data/photos/cross/000.png", place / "data/photos/square/copy.png")
    with page_of(browser, server) as page:
        page.click("text=Check data")
        page.fill("#source", "data/photos")
        page.keyboard.press("Enter")
        page.wait_for_selector("text=conflicting labels")
        assert page.locator(".issue .strip img").count() >= 2
        page.fill("#source", "/etc")
        page.click("#go")
        page.wait_for_selector("#course:has-text('must be a built-in name, or lie in a folder')")
        page.complaints[:] = [each for each in page.complaints if "404" not in each]


def test_look_for_wrong_labels_stop_and_go_on(browser, server, place, shapes):
    shutil.copytree(shapes, place / "data/labelled")
    with page_of(browser, server) as page:
        page.goto(f"{server.base}/check?source=data/labelled")
        page.wait_for_selector("#labels-start:has-text('Start')")
        page.fill("#folds", "2")
        page.keyboard.press("Tab")
        command = "seewhy check data/labelled --labels 2 --out runs/labelled-labels"
        page.wait_for_selector(f"#labels-command:text-is('{command}')", state="attached")
        page.click("#labels-start")
        page.click("#labels-stop")
        page.click("#labels-start:has-text('Go on')")
        page.wait_for_selector("#labels-bar:visible")
        page.wait_for_selector("#labels-stop:visible, #labels-start:visible", state="hidden")
        listed = place / "runs/labelled-labels/labels.csv"
        with open(listed, "a") as file:
            file.write("cross/000.png,cross,square,0.9\n")
        page.fill("#folds", "3")
        page.keyboard.press("Tab")
        page.wait_for_selector("#labels-start:has-text('Start')")
        page.fill("#folds", "2")
        page.keyboard.press("Tab")
        page.wait_for_selector(f"#labels-course:has-text('probably wrong; all stand in {listed.relative_to(place)}')")
        figure = page.locator("#suspicious figure:has-text('cross/000.png')")
        assert figure.locator("img").get_attribute("src").startswith("data:image/png")
        assert "looks like square" in figure.text_content()


def test_the_table_is_sorted_filtered_compared_and_emptied(browser, server, place):
    shutil.copytree(place / "runs/mlp", place / "runs/doomed")
    with page_of(browser, server) as page:
        names = "#runs tbody tr:not([hidden]) th a"
        page.click("#runs thead button:has-text('Model')")
        models = page.locator("#runs tbody tr td:nth-child(4)").all_text_contents()
        assert models == sorted(models)
        page.fill("#filter", "vae")
        assert page.locator(names).all_text_contents() == ["vae"]
        page.check("#runs tr:has-text('vae') input")
        assert page.locator("#compare").is_disabled()
        page.fill("#filter", "")
        page.check("#runs tr:has-text('pixels') input")
        page.click("#compare")
        page.wait_for_selector(".plot-key:has-text('pixels')")
        page.go_back()
        page.wait_for_selector("#runs")
        page.locator("#runs input:checked").evaluate_all("(all) => all.forEach((each) => each.click())")
        page.check("#runs tr:has-text('doomed') input")
        before = int(page.text_content("#h-runs").split()[0])
        page.click("#delete")
        page.click("#sure-yes")
        page.wait_for_selector("#sure-title:has-text('Really?')")
        assert (place / "runs/doomed").is_dir()
        page.click("#sure-yes")
        page.wait_for_selector("#runs tr:has-text('doomed')", state="detached")
        assert not (place / "runs/doomed").exists()
        page.wait_for_selector(f"#h-runs:has-text('{before - 1} run')")


def test_two_browsers_at_once_see_the_same(browser, server, place):
    run = seewhy.Run(place / "runs/mlp")
    with page_of(browser, server) as first, page_of(browser, server) as second:
        for page in (first, second):
            page.goto(f"{server.base}/classify/0/mlp")
        for seed, page in enumerate((first, second)):
            page.set_input_files("#files", files(*((f"{seed}-{k}.png", png(100 * seed + k)) for k in range(20))))
        for seed, page in enumerate((first, second)):
            page.wait_for_selector("#count:has-text('20 of 20 images')")
            for k in (0, 19):
                label = run.predict(png(100 * seed + k)).label
                assert page.locator(f".result:has-text('{seed}-{k}.png') .label strong").text_content() == label


def test_who_has_no_token_sees_nothing(browser, server):
    page = browser.new_context().new_page()
    answer = page.goto(f"{server.base}/run/0/mlp")
    assert answer.status == 403
    assert "mlp" not in page.content()
    page.context.close()


def test_the_password_opens_the_page(browser, place):
    server = Server(place, "--password", "open sesame")
    page = browser.new_context().new_page()
    assert page.goto(f"{server.base}/").status == 403
    page.fill("input", "open barley")
    page.click("button")
    page.wait_for_selector("text=This is not the password.")
    page.fill("input", "open sesame")
    page.click("button")
    page.wait_for_selector("#runs")
    page.context.close()
    assert server.close() == ""


def test_the_address_loses_its_token(browser, server):
    with page_of(browser, server) as page:
        assert page.url == f"{server.base}/"
        page.reload()
        page.wait_for_selector("#runs")


def test_a_run_outlives_its_server(browser, place):
    server = Server(place)
    with page_of(browser, server) as page:
        page.goto(f"{server.base}/new")
        page.fill("#source", "digits")
        page.fill("#out", "survivor")
        page.select_option("#model", "mlp")
        page.fill("#f-train-epochs", "25")
        page.wait_for_selector("#start:enabled")
        page.click("#start")
        page.wait_for_url("**/run/0/survivor")
        server.kill()
        server.process.stderr.close()
        server.process.stdout.close()
        results = place / "runs/survivor/results.json"
        assert not results.is_file()
        page.wait_for_selector("#told:has-text('does not answer')")
        page.wait_for_selector("#state:has-text('not known')")
        page.click("#stop")
        page.wait_for_selector("#stop:enabled")
        assert "Runs go on without it" in page.text_content("#told")
        until(results.is_file)
        assert all("Failed to load resource" in complaint for complaint in page.complaints)
        page.complaints.clear()  # of the server that does not answer
