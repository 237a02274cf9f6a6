"""The page in a real browser, where there is one: headless Chromium, driven by selenium."""

import re
import shutil

import pytest
import runs

import seqbench

webdriver = pytest.importorskip("selenium.webdriver", reason="selenium is in the browser extra")
DRIVER, BROWSER = shutil.which("chromedriver"), shutil.which("chromium")
pytestmark = pytest.mark.skipif(
    not (DRIVER and BROWSER), reason="needs the programs chromium and chromedriver"
)


TYPE = """const input = document.querySelector(".bar input");
input.value = arguments[0];
input.dispatchEvent(new Event("input"));"""


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    """A report of three cells at two lengths, opened from its file."""
    cells = ("rnn", "gru", "lstm")
    trials = runs.whole((10, 20), 2, cells)
    named = '["rnn", "gru", "lstm"]'
    run = runs.write(tmp_path_factory.mktemp("run"), trials, (10, 20), 2, named)
    file = seqbench.report(run)
    options = webdriver.ChromeOptions()
    for argument in ("--headless=new", "--no-sandbox", "--disable-gpu", "--window-size=1280,900"):
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    service = webdriver.ChromeService(executable_path=DRIVER)
    driver = webdriver.Chrome(options=options, service=service)
    driver.get(file.as_uri())
    yield driver
    driver.quit()


def ask(page, script):
    return page.execute_script(f"return {script}")


def rows(page):
    """The cells of the first table, in the order in which they stand."""
    script = "[...document.querySelector('table').querySelectorAll('tr[data-cell]')]"
    return ask(page, f"{script}.filter(r => r.offsetParent).map(r => r.dataset.cell)")


def click(page, selector):
    page.execute_script(f"document.querySelector({selector!r}).click()")


def test_it_opens_without_errors_and_under_its_policy(page):
    assert page.get_log("browser") == []
    assert ask(page, "document.documentElement.classList.contains('alive')")
    pictures = ask(page, "document.querySelectorAll('figure svg').length")
    assert pictures == ask(page, "document.querySelectorAll('figure').length") == 8


def test_a_click_on_a_column_sorts_and_another_turns_it_round(page):
    assert rows(page) == ["rnn", "gru", "lstm"]
    click(page, "table thead th:nth-child(2) button")
    click(page, "table thead th:nth-child(2) button")
    assert rows(page)[0] == "lstm"  # the only one that solves T = 10
    click(page, "table thead th:first-child button")
    assert rows(page) == ["gru", "lstm", "rnn"]


def test_a_word_leaves_the_cells_that_have_it(page):
    page.execute_script(TYPE, "lst")
    assert rows(page) == ["lstm"]
    page.execute_script(TYPE, "")
    assert len(rows(page)) == 3


def test_a_picked_cell_is_brought_forward_in_figures_and_tables(page):
    click(page, "tr[data-cell=gru] th button")
    opacity = "getComputedStyle(document.querySelector('figure svg [data-cell={}]')).opacity"
    assert ask(page, opacity.format("gru")) == "1"
    assert float(ask(page, opacity.format("rnn"))) < 0.2
    click(page, "tr[data-cell=gru] th button")
    assert ask(page, opacity.format("rnn")) == "1"


def test_a_pointer_near_a_line_is_told_its_cell_and_its_value(page):
    """The flow of rnn before training at T = 20 falls by 0.3 a lag: -3 at lag 10."""
    script = """
    const axes = [...document.querySelectorAll('figure svg [data-box]')]
      .find((one) => one.dataset.x.startsWith("-0.4 20.4"));
    const [left, top, width, height] = axes.dataset.box.split(" ").map(Number);
    const share = (axis, value) => {
      const [low, high] = axis.split(" ").map(Number);
      return (value - low) / (high - low);
    };
    const svg = axes.closest("svg");
    svg.scrollIntoView();
    const at = new DOMPoint(
      left + width * share(axes.dataset.x, 10), top + height * (1 - share(axes.dataset.y, -3))
    ).matrixTransform(svg.getScreenCTM());
    svg.dispatchEvent(new PointerEvent("pointermove", { clientX: at.x, clientY: at.y }));
    const told = document.querySelector(".value");
    return [told.classList.contains("shown"), told.textContent];
    """
    shown, text = page.execute_script(script)
    assert shown
    cell, value, lag = re.fullmatch(r"(\w+): (-[\d.]+) at ([\d.]+)", text).groups()
    assert cell in ("rnn", "gru", "lstm")
    assert float(value) == pytest.approx(-3, abs=0.1)
    assert float(lag) == pytest.approx(10, abs=0.1)


def test_dark_is_dark(page):
    colour = "getComputedStyle(document.body).backgroundColor"
    light = ask(page, colour)
    click(page, ".bar button")
    assert ask(page, colour) != light
    click(page, ".bar button")
    assert ask(page, colour) == light


def test_nothing_but_tables_and_figures_scrolls_sideways_on_a_phone(page):
    phone = {"width": 390, "height": 800, "deviceScaleFactor": 1, "mobile": True}
    page.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", phone)
    assert ask(page, "document.documentElement.scrollWidth") <= 390
    page.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})


def test_without_the_script_all_is_there(page):
    text = ask(page, "document.body.textContent")
    for words in ("Which cell at which length?", "Wilson", "What the problem asks", "seqbench run"):
        assert words in text
